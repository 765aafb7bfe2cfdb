from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "smsplatform.common"
    label = "common"
