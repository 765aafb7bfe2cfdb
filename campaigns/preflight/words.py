"""What the rules mean, for people who never saw a rule's id. A rule that is not named here is told by its id."""

from collections.abc import Mapping
from typing import Final

from compliance.data import states

_OF_STATE: Final = "frequency_cap_"
_WORDS: Final[Mapping[str, str]] = {
    "": "may be texted",
    "brand_blackout": "waits for the end of the brand's blackout",
    "brand_cap": "the brand's limit of that day is used up",
    "campaign_cancelled": "the campaign is cancelled",
    "campaign_cap": "the campaign's limit of that day is used up",
    "consent_expired": "the consent, or the time to say YES, is over",
    "consent_pending_double_opt_in": "was asked for a YES and has not answered",
    "country_not_allowed": "the tenant does not text numbers of that country",
    "daily_cap": "the brand's messages of that day are used up",
    "erased": "was erased, and is not to be texted again",
    "erased_unreadable": "nobody can say who was erased: a pepper is missing",
    "frequency_cap": "got as many marketing messages of the brand as one person may get",
    "frequency_limit": "got as many marketing messages as a limit lets one person get",
    "frequency_promised": "got as many marketing messages as the opt-in text promises",
    "hourly_cap": "the campaign's messages of that hour are used up",
    "lateness_limit": "would be too late",
    "link_host_blocked": "the text names a host that must not be in a text",
    "link_not_allowed": "a link in the text is not allowed",
    "missing_merge_field": "lacks a field that the text needs",
    "no_allowed_hour_in_time": "no allowed hour before the text is too late",
    "no_consent": "has not given the consent that the message needs",
    "no_send_time": "has no time of their own",
    "no_sender_for_number": "no sender of the brand may be used for the number",
    "not_due": "at its time",
    "number_not_textable": "no text reaches the number",
    "paused": "is paused",
    "person_busy": "another message to the person is on its way",
    "place_changed": "has moved since it was checked",
    "platform_cap": "the platform's limit of that day is used up",
    "provider_blocked": "told the provider to be texted no more",
    "quiet_hours": "waits for the allowed hours",
    "regional_hold": "nobody in the state is texted for now",
    "send_time_past": "their own time is over",
    "suppressed_brand": "has opted out of the brand, or must not be texted by it",
    "suppressed_category": "must not be texted such messages by the brand",
    "suppressed_platform": "must not be texted by anybody",
    "tenant_cap": "the tenant's limit of that day is used up",
    "text_not_renderable": "the text cannot be made",
    "too_many_segments": "the text is too long",
    "unknown_place": "nothing is known of the place, and the tenant does not text such people",
    "zone_already_past": "the time is over in their zone",
}


def of(rule: str) -> str:
    """Return what a rule, told as `code@version`, means."""
    code = rule.partition("@")[0]
    state = states.NAMES.get(code.removeprefix(_OF_STATE).upper()) if code.startswith(_OF_STATE) else None
    if state is not None:
        return f"got as many marketing messages of the brand as the law of {state} allows"
    return _WORDS.get(code) or code.replace("_", " ")
