"""Words that a brand has given a meaning: who texts JOIN gets on a list, and a welcome."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from campaigns.models.recipient import RecipientList
from compliance import automatic_texts, keywords
from compliance.keywords import BrandWord, Purpose, wording
from compliance.policy import Category
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand

_LONGEST_ADVERTISED = 4


class Keyword(TenantScoped):
    """A word that, texted alone to one of the brand's numbers, is an opt-in to a list.

    Who saw `disclosure` before texting has agreed in writing (facts §3.1); without it, the consent is a plain one.
    """

    class Tier(models.TextChoices):
        EXPRESS = "express", "express: enough for informational texts"
        WRITTEN = "written", "written: enough for marketing; needs what people read before they texted it"

    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="keywords")
    word = models.CharField(max_length=40, help_text="Like JOIN; how people write it makes no difference.")
    folded = models.CharField(max_length=80, editable=False)
    people = models.ForeignKey(
        RecipientList,
        on_delete=models.PROTECT,
        related_name="keywords",
        verbose_name="list",
        help_text="Whoever texts it gets on this list.",
    )
    category = models.CharField(
        max_length=16,
        blank=True,
        choices=[("", "everything"), *Category.choices()],
        default=Category.MARKETING.value,
        help_text="What the person agrees to get.",
    )
    tier = models.CharField(max_length=10, choices=Tier.choices, default=Tier.EXPRESS, help_text="How strong it is.")
    disclosure = models.TextField(
        blank=True,
        help_text="Word for word what people read where you advertise the word. It is kept as evidence with each opt-in.",
    )
    welcome = models.TextField(blank=True, help_text="The answer. Empty: the brand's answer to START.")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["word"]
        constraints = [models.UniqueConstraint(fields=["brand", "folded"], name="one_meaning_per_word")]

    def __str__(self) -> str:
        return self.word

    def clean(self) -> None:
        """Refuse words that mean something to everybody, and welcomes that lack what the law asks for."""
        self.folded = keywords.normalise(self.word)
        flaws = {}
        if flaw := self._flaw_of_word():
            flaws["word"] = [flaw]
        if self.tier == self.Tier.WRITTEN and not self.disclosure.strip():
            flaws["disclosure"] = ["Consent is written only if people read what they agree to; enter what they read."]
        if self.brand_id and self.welcome.strip() and (wrong := self._flaws_of_welcome()):
            flaws["welcome"] = wrong
        if self.brand_id and self.people_id and self.people.tenant_id != self.brand.tenant_id:
            flaws["people"] = ["This list belongs to another tenant."]
        if flaws:
            raise ValidationError(flaws)

    def _flaw_of_word(self) -> str:
        if not self.folded:
            return "There is no letter and no digit in it; give a word like JOIN."
        if len(self.folded.split()) > _LONGEST_ADVERTISED:
            return f"People would have to text all of it; give at most {_LONGEST_ADVERTISED} words."
        day = timezone.now().date()
        meant = keywords.taken(BrandWord(self.word), context=keywords.Context(day=day))
        if meant is not None:
            return (
                f"{self.word} means {meant.kind.value.replace('_', '-')} to everybody, whatever a brand says;"
                " choose another word."
            )
        if (
            self.brand_id
            and Keyword.objects.filter(brand=self.brand_id, folded=self.folded).exclude(pk=self.pk).exists()
        ):
            return f"{self.brand} has given {self.word} a meaning already; change that one."
        return ""

    def _flaws_of_welcome(self) -> list[str]:
        texts = automatic_texts.of(self.brand)
        program = automatic_texts.program_of(texts)
        day = timezone.now().date()
        worded = wording.check(self.welcome.strip(), purpose=Purpose.OPT_IN, program=program, day=day)
        return automatic_texts.explain(worded, program=program)

    def save(self, **options: object) -> None:
        """Save it, folded as texts are when they are compared."""
        self.folded = keywords.normalise(self.word)
        super().save(**options)  # type: ignore[arg-type]
