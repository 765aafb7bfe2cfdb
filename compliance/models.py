"""What forbids or limits a text: suppressions, cap windows, and the permits taken from them."""

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from compliance.consent_models import Consent as Consent  # noqa: PLC0414 - a model of this app
from compliance.consent_models import ConsentState as ConsentState  # noqa: PLC0414 - a model of this app
from compliance.consent_models import Disclosure as Disclosure  # noqa: PLC0414 - a model of this app
from compliance.data import states
from smsplatform.common import masking
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand, Tenant, check_zone


class Suppression(models.Model):
    """A stored "do not text". Never deleted and never weakened by an import; only `released_at` ends it.

    Each reason stands for itself, so that what ends one (a START ends a STOP) never ends another.
    """

    class Scope(models.TextChoices):
        PLATFORM = "platform", "everybody on the platform"
        BRAND = "brand", "the brand, everything"
        CATEGORY = "category", "the brand, one category"

    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.BRAND)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    category = models.CharField(max_length=16, blank=True, help_text="Empty: every category.")
    reason = models.CharField(max_length=60, help_text="A code of compliance/reasons.py.")
    source = models.CharField(max_length=60, help_text="How word came: reply, web, provider, email, voice …")
    evidence = models.CharField(max_length=200, blank=True, help_text="What proves it: an event, a ticket, a letter.")
    dispatch_id = models.UUIDField(null=True, blank=True, editable=False, help_text="The text that it answers.")
    created_by = models.CharField(max_length=120, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    renewed_at = models.DateTimeField(
        default=timezone.now, db_default=Now(), editable=False, help_text="When it was said last."
    )
    released_at = models.DateTimeField(null=True, blank=True, editable=False)
    released_by = models.CharField(max_length=120, blank=True, db_default="", editable=False)
    released_because = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    tidied_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="What waited for the person is blocked since then."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["number", "brand", "category", "reason"],
                condition=models.Q(released_at=None),
                nulls_distinct=False,
                name="one_live_suppression",
                violation_error_message="this number is suppressed already, for the same reason",
            ),
            models.CheckConstraint(
                condition=models.Q(scope="platform", brand=None, tenant=None, category="")
                | models.Q(scope="brand", brand__isnull=False, tenant__isnull=False, category="")
                | (models.Q(scope="category", brand__isnull=False, tenant__isnull=False) & ~models.Q(category="")),
                name="suppression_scope_fits",
            ),
        ]
        indexes = [
            models.Index(fields=["brand", "created_at"], name="suppression_by_brand"),
            # Of a run: the dispatches of one are a range of ids.
            models.Index(
                fields=["dispatch_id"], condition=models.Q(dispatch_id__isnull=False), name="suppression_by_text"
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(tidied_at=None, released_at=None)
                & (~models.Q(source="reply") | models.Q(brand=None)),
                name="suppression_untidied",
            ),
        ]

    def __str__(self) -> str:
        return f"{masking.number(self.number)}: {self.reason}"


class ErasedPerson(TenantScoped):
    """A person whom a tenant has forgotten: the keyed hash of the number is what is left, so that nobody texts it again.

    The number itself is here only while the erasure is at work: until no report about its messages can come any more.
    """

    keyed = models.CharField(max_length=73, help_text="Name of the pepper, and the hash under it.")
    is_suppressed = models.BooleanField(default=True, help_text="Never to be texted again, whoever imports the number.")
    number = models.CharField(max_length=254, blank=True, help_text="Empty when all is done.")
    reason = models.CharField(max_length=120, blank=True)
    asked_by = models.CharField(max_length=120)
    asked_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, help_text="When everything that was there was gone.")
    done_at = models.DateTimeField(null=True, help_text="When what came afterwards was gone, too, and the number.")
    cursor = models.JSONField(default=dict, help_text="Where a killed erasure goes on.")
    counts = models.JSONField(default=dict, help_text="What was taken away.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "erased people"
        constraints = [models.UniqueConstraint(fields=["tenant", "keyed"], name="one_erased_person")]
        indexes = [
            # the claim asks for the latest one of a tenant
            models.Index(fields=["tenant", "id"], name="erased_by_tenant"),
            models.Index(fields=["asked_at"], condition=models.Q(done_at=None), name="erasure_at_work"),
        ]

    def __str__(self) -> str:
        return f"erased person {self.pk}"


class Limit(models.Model):
    """How many messages or segments somebody may send in a while. All limits hold together, so that one more only tightens.

    Never deleted and never overwritten in silence: each change is a new version, and `ended_at` ends it.
    """

    class Subject(models.TextChoices):
        PLATFORM = "platform", "the whole platform"
        TENANT = "tenant", "a client business"
        BRAND = "brand", "a brand"
        CAMPAIGN = "campaign", "a campaign"
        ACCOUNT = "account", "a provider account"
        REGISTRATION = "registration", "a registration (10DLC campaign, toll-free number, short code)"

    class Unit(models.TextChoices):
        MESSAGES = "messages"
        SEGMENTS = "segments"

    class Period(models.TextChoices):
        DAY = "day", "a day, from midnight to midnight in a zone"
        PERSON = "person", "a person's last hours, for marketing"

    class Carrier(models.TextChoices):
        T_MOBILE = "t-mobile", "T-Mobile"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    subject = models.CharField(max_length=12, choices=Subject.choices)
    subject_id = models.BigIntegerField(null=True, blank=True, help_text="The id of the brand, campaign, ...")
    carrier = models.CharField(
        max_length=12, choices=Carrier.choices, blank=True, help_text="Only what goes to this carrier; empty: all."
    )
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.DAY)
    hours = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="For a person's last hours: how many."
    )
    zone = models.CharField(
        max_length=64, blank=True, validators=[check_zone], help_text="Whose midnight; empty: the usual one."
    )
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.MESSAGES)
    amount = models.PositiveIntegerField(help_text="0 sends nothing.")
    is_promised = models.BooleanField(
        default=False, help_text="The opt-in text promises it to people: no other limit of the brand may be looser."
    )
    is_operators = models.BooleanField(default=False, editable=False, help_text="Set by the platform's operators.")
    note = models.CharField(max_length=200, blank=True, help_text="Where it comes from: a contract, a carrier's table.")
    version = models.PositiveIntegerField(default=1, editable=False)
    set_by = models.CharField(max_length=120, editable=False)
    set_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "subject_id", "carrier", "period", "hours", "zone", "unit"],
                condition=models.Q(ended_at=None),
                nulls_distinct=False,
                name="one_live_limit",
                violation_error_message="there is such a limit already; change its amount instead",
            ),
            models.CheckConstraint(
                condition=models.Q(subject="platform", tenant=None, subject_id=None)
                | (~models.Q(subject="platform") & models.Q(tenant__isnull=False, subject_id__isnull=False)),
                name="limit_subject_fits",
            ),
            models.CheckConstraint(
                condition=models.Q(period="day", hours=None) & ~models.Q(zone="")
                | models.Q(period="person", hours__gte=1, carrier="", unit="messages", zone=""),
                name="limit_period_fits",
            ),
        ]
        indexes = [models.Index(fields=["tenant"], condition=models.Q(ended_at=None), name="limit_live")]

    def __str__(self) -> str:
        span = f"a person in {self.hours} h" if self.period == self.Period.PERSON else f"a day in {self.zone}"
        to = f" to {self.get_carrier_display()}" if self.carrier else ""
        return f"{self.amount:,} {self.unit}{to} {span} for {self.holder}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save it; a change is the next version, which is what decisions made by it name."""
        if self.pk is not None:
            self.version += 1
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse what cannot be counted and what would loosen; write down whose midnight is meant."""
        from compliance import limit_rules

        if self.period == self.Period.DAY and not self.zone:
            self.zone = limit_rules.usual_zone(self)
        flaws = limit_rules.flaws(self)
        if flaws:
            raise ValidationError(flaws)

    @property
    def holder(self) -> str:
        """Whose it is, as cap windows call it."""
        return self.subject if self.subject_id is None else f"{self.subject}:{self.subject_id}"

    @property
    def is_of_claims(self) -> bool:
        """Whether it is known only at the claim whom it meets: which account, sender or carrier."""
        return self.subject in (self.Subject.ACCOUNT, self.Subject.REGISTRATION) or bool(self.carrier)


class CapWindow(models.Model):
    """How much of one limit is used in one stored window `[starts_at, ends_at)`."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    subject = models.CharField(max_length=40, help_text="Whose limit, like brand:7.")
    unit = models.CharField(max_length=8, choices=Limit.Unit.choices, default=Limit.Unit.MESSAGES)
    carrier = models.CharField(max_length=12, blank=True, help_text="Counted in hundredths, as carriers are guessed.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    amount = models.BigIntegerField(null=True, help_text="The limit when it was last asked; empty: only counted.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "starts_at", "ends_at", "unit", "carrier"], name="one_window"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="window_never_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} from {self.starts_at:%F %H:%M}: {self.used}"

    @property
    def scale(self) -> int:
        """By how much `used` and `amount` are larger than the unit."""
        return 100 if self.carrier else 1


class Permit(models.Model):
    """One dispatch's reservation. It exists exactly while the dispatch's state holds one (states.HOLDS).

    `at` is empty, and counts as now, until the outcome is known; then the accept time, or for an unknown the claim time.
    """

    dispatch_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    brand = models.ForeignKey(Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    is_person_capped = models.BooleanField()
    windows = ArrayField(models.BigIntegerField(), default=list)
    charges = ArrayField(
        models.BigIntegerField(), null=True, help_text="What was taken from each window; empty: one from each."
    )
    claim_windows = ArrayField(
        models.BigIntegerField(), null=True, help_text="The windows of the account and carrier of the present try."
    )
    claim_charges = ArrayField(models.BigIntegerField(), null=True)
    at = models.DateTimeField(null=True)
    over_cap = models.BooleanField(default=False, help_text="Taken on proof, above the cap.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["brand", "number"], name="permit_by_person")]

    def __str__(self) -> str:
        return f"permit of {self.dispatch_id}"


class RegionalHold(models.Model):
    """A state in which nobody gets marketing for a while: an emergency (Louisiana bans it), a proclaimed holiday.

    Stands above tenants: operators enter it. It ends at `ends_at`, or when it is lifted; rows are kept as the record.
    """

    state = models.CharField(max_length=2, choices=sorted(states.NAMES.items()))
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is lifted.")
    reason = models.CharField(max_length=120, help_text="What it is, and where it was proclaimed.")
    created_by = models.CharField(max_length=120, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    lifted_at = models.DateTimeField(null=True, blank=True, editable=False)
    lifted_by = models.CharField(max_length=120, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="hold_ends_after_it_starts",
                violation_error_message="It must end after it starts.",
            )
        ]
        indexes = [models.Index(fields=["state"], condition=models.Q(lifted_at=None), name="hold_in_force")]

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}"


class Blackout(TenantScoped):
    """Dates on which a brand texts nobody, in each recipient's own calendar; both ends belong to it."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="blackouts")
    first_on = models.DateField("first day")
    last_on = models.DateField("last day")
    note = models.CharField(max_length=80, blank=True, help_text="Why; it stands with every message that waits.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-first_on", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(last_on__gte=models.F("first_on")), name="blackout_ends_after_it_starts"
            )
        ]
        indexes = [models.Index(fields=["brand", "last_on"], name="blackout_by_brand")]

    def __str__(self) -> str:
        return f"{self.brand}: {self.first_on} to {self.last_on}"

    def clean(self) -> None:
        # Before the form has read them they may be missing.
        if None not in (self.first_on, self.last_on) and self.last_on < self.first_on:
            raise ValidationError({"last_on": f"the last day is before the first; give {self.first_on} or later"})


class StopLine(models.Model):
    """When a person was last told how to end a brand's texts. Written after a text with the word STOP was taken."""

    pk = models.CompositePrimaryKey("brand_id", "number")
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    brand = models.ForeignKey(Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    told_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{masking.number(self.number)} told at {self.told_at:%F}"


class NotTextable(models.Model):
    """A number that no text reaches, as a provider said it: a landline, or nobody's.

    It counts for the tenant whose message met it; for everybody once two tenants have, or an operator says so (no
    tenant): what one tenant's account says alone must not stop another's messages.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    number = models.CharField(max_length=16, help_text="E.164, like +12025550123.")
    reason = models.CharField(max_length=20, help_text="landline, not_in_service, unreachable or deactivated.")
    provider = models.CharField(max_length=40, help_text="Who says so: the adapter's slug, or operator.")
    code = models.CharField(max_length=60, blank=True, help_text="The provider's code.")
    evidence = models.CharField(max_length=120, blank=True, help_text="The message that proves it.")
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True, help_text="When it may be tried again; empty: never.")
    cleared_at = models.DateTimeField(null=True, blank=True, editable=False)
    cleared_by = models.CharField(max_length=120, blank=True, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = "number that cannot be texted"
        verbose_name_plural = "numbers that cannot be texted"
        constraints = [
            models.UniqueConstraint(fields=["number", "tenant"], nulls_distinct=False, name="one_fact_per_number")
        ]

    def __str__(self) -> str:
        return f"{masking.number(self.number)}: {self.reason}"


class TrafficCount(TenantScoped):
    """What the API and forms have triggered: one row per subject, overwritten when its window is over.

    Subjects: `country:US` in segments a day, `ip:…` and `form:…` in messages an hour, `prefix:+1202555` in different
    numbers of the last minutes. A prefix with too many is held until somebody decides.
    """

    subject = models.CharField(max_length=80)
    starts_at = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    recent = models.JSONField(default=dict, blank=True, help_text="A prefix's latest numbers, with their instants.")
    held_at = models.DateTimeField(null=True, blank=True, help_text="Since when its messages wait for a review.")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=120, blank=True)
    is_let_through = models.BooleanField(null=True, blank=True, help_text="What was decided.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "subject"], name="one_traffic_count")]
        indexes = [models.Index(fields=["starts_at"], name="traffic_count_age")]
        verbose_name = "range of numbers to review"
        verbose_name_plural = "ranges of numbers to review"

    def __str__(self) -> str:
        return self.subject


class OptInCount(TenantScoped):
    """Double opt-ins asked for and confirmed, by day and country: asked by many and confirmed by few is a bot's work."""

    country = models.CharField(max_length=2)
    day = models.DateField()
    asked = models.PositiveIntegerField(default=0)
    confirmed = models.PositiveIntegerField(default=0)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "country", "day"], name="one_opt_in_count")]
        verbose_name = "opt-ins of a day"
        verbose_name_plural = "opt-ins by day"

    def __str__(self) -> str:
        return f"{self.country} {self.day}: {self.confirmed} of {self.asked}"


class AutomaticTexts(TenantScoped):
    """What a brand tells people who text a keyword, and how their texts are read. Without a row, the defaults hold."""

    brand = models.OneToOneField(Brand, on_delete=models.CASCADE, related_name="automatic_texts")
    program = models.CharField(
        "name", max_length=60, blank=True, help_text="By which people know you; empty: the brand's name."
    )
    monthly = models.PositiveSmallIntegerField(
        "texts a month",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="At most; people are promised this number. HELP and START cannot be answered without it.",
    )
    help_page = models.CharField(max_length=100, blank=True, help_text="Like acme.com/help.")
    help_phone = models.CharField(max_length=30, blank=True, help_text="Free of charge, like 800-555-0199.")
    help_email = models.EmailField(max_length=100, blank=True, help_text="Or an address that is read.")
    opt_out_text = models.TextField("answer to STOP", blank=True, help_text="Empty: ours, as shown above.")
    help_text = models.TextField("answer to HELP", blank=True, help_text="Empty: ours, as shown above.")
    opt_in_text = models.TextField("answer to START", blank=True, help_text="Empty: ours, as shown above.")
    ask_text = models.TextField("question of a double opt-in", blank=True, help_text="Empty: ours, as shown above.")
    languages = ArrayField(
        models.CharField(max_length=2),
        default=list,
        blank=True,
        help_text="In which people write to you, like en,es; empty: all that we know. It is for texts in people's own"
        " words: a word like STOP or ARRET alone counts in every language.",
    )
    reviews_intent_abroad = models.BooleanField(
        "look at wishes from abroad first",
        default=False,
        help_text="A text like “please do not write to me any more” from outside the +1 countries waits for your"
        " decision, instead of being an opt-out at once.",
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "automatic texts"

    def __str__(self) -> str:
        return f"automatic texts of {self.brand}"

    def clean(self) -> None:
        """Refuse texts that lack what the law asks for, or hold what it forbids."""
        from compliance import automatic_texts

        flaws = automatic_texts.flaws(self)
        if flaws:
            raise ValidationError(flaws)
