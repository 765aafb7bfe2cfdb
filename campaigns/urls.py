from django.urls import path

from campaigns import opt_out_links, opt_out_page, webhooks
from campaigns.api.opt_ins import OptIns
from campaigns.api.opt_outs import OptOuts
from smsplatform.common.sessionless import sessionless

urlpatterns = [
    path("webhooks/<slug:provider>/<str:key>/<path:rest>", webhooks.receive, name="webhook"),
    path("api/opt-ins", sessionless(OptIns.as_view()), name="api_opt_ins"),
    path("api/opt-outs", sessionless(OptOuts.as_view()), name="api_opt_outs"),
    path(f"{opt_out_links.PATH}/<str:token>", opt_out_page.opt_out, name="opt_out"),
]
