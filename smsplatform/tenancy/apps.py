from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "smsplatform.tenancy"
    label = "tenancy"
