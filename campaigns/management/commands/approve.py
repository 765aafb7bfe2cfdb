"""`manage.py approve`: ask for the yes of a second person to a large campaign, and give it, or say why not."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from campaigns import approvals
from campaigns.management.commands import _lookup
from campaigns.models import Campaign
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput, NotFound
from smsplatform.tenancy import access
from smsplatform.tenancy.models import User


class Command(OperatorCommand):
    """Who answers is a person with a login and a role in the tenant; never the one who asked, nor who launches."""

    help = "Ask for, give or refuse the approval of a campaign to many people."
    option_names: ClassVar = {
        "template": "CAMPAIGN", "lists": "CAMPAIGN", "reason": "--decline", "by": "--by", "run": "--run",
    }  # fmt: skip

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument("--ask", action="store_true", help="ask for it, as --actor")
        parser.add_argument("--by", metavar="EMAIL", help="who says yes or no: a manager or owner of the tenant")
        parser.add_argument("--decline", metavar="WHY", help="say no, and why")
        parser.add_argument("--run", help="approve this run instead, which turned out to be for too many people")

    def act(self, options: dict[str, Any]) -> Answer:
        """Do the one thing that the options say."""
        tenant = access.access_tenant(options["tenant"])
        campaign = access.access(Campaign, tenant, name=options["campaign"])
        now = database.now()
        if options["ask"] == bool(options["by"]):
            raise InvalidInput("give either --ask, or who answers as --by EMAIL", field="by")
        if options["ask"]:
            asked = approvals.ask(campaign=campaign, now=now, actor=options["actor"])
            told = f"asked for {campaign.name} to {asked.people:,} people; it can be answered until {asked.expires_at:%F %T %Z}"
            return Answer({"campaign": campaign.name, "people": asked.people, "expires_at": asked.expires_at}, [told])
        user = User.objects.filter(email=options["by"].lower(), is_active=True).first()
        if user is None:
            raise NotFound(f"nobody has the login {options['by']!r}; superusers make logins in the admin", field="by")
        if options["run"]:
            run = _lookup.access_run([options["run"]])
            if run.campaign_id != campaign.pk:
                raise NotFound(f"run {run.pk} is not one of {campaign.name}", field="run")
            approvals.approve_run(run, user=user, now=now)
            return Answer({"run": run.pk, "approved_by": user.email}, [f"run {run.pk} is approved, and goes on"])
        question = campaign.approvals.filter(answer="").first()
        if question is None:
            raise NotFound(f"nobody has asked; `manage.py approve {tenant.slug} {campaign.name!r} --ask` does")
        if options["decline"] is not None:
            approvals.decline(question, user=user, reason=options["decline"], now=now)
            return Answer({"campaign": campaign.name, "answer": "declined"}, [f"{campaign.name} is declined"])
        approvals.approve(question, user=user, now=now)
        told = (
            f"{campaign.name} is approved for {question.people:,} people; somebody else than {user.email} launches it"
        )
        return Answer({"campaign": campaign.name, "answer": "approved", "people": question.people}, [told])
