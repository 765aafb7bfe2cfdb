from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    name = "compliance"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from compliance.consent_models import SEALED_CHECK, SEALED_COLUMNS, SEALED_INSTANTS
        from smsplatform.tenancy import seals

        seals.register(
            seals.Ledger(
                name="consent",
                table="compliance_consent",
                columns=SEALED_COLUMNS,
                instants=SEALED_INSTANTS,
                check=SEALED_CHECK,
            )
        )
