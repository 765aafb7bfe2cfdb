"""The states and territories of the United States by their postal abbreviations, and how people write them. Data only."""

from collections.abc import Mapping
from typing import Final

TERRITORIES: Final = frozenset({"PR", "VI", "GU", "MP", "AS"})

NAMES: Final[Mapping[str, str]] = {
    "AK": "Alaska", "AL": "Alabama", "AR": "Arkansas", "AS": "American Samoa", "AZ": "Arizona", "CA": "California",
    "CO": "Colorado", "CT": "Connecticut", "DC": "District of Columbia", "DE": "Delaware", "FL": "Florida",
    "GA": "Georgia", "GU": "Guam", "HI": "Hawaii", "IA": "Iowa", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana",
    "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "MA": "Massachusetts", "MD": "Maryland", "ME": "Maine",
    "MI": "Michigan", "MN": "Minnesota", "MO": "Missouri", "MP": "Northern Mariana Islands", "MS": "Mississippi",
    "MT": "Montana", "NC": "North Carolina", "ND": "North Dakota", "NE": "Nebraska", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NV": "Nevada", "NY": "New York", "OH": "Ohio", "OK": "Oklahoma",
    "OR": "Oregon", "PA": "Pennsylvania", "PR": "Puerto Rico", "RI": "Rhode Island", "SC": "South Carolina",
    "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VA": "Virginia", "VI": "U.S. Virgin Islands",
    "VT": "Vermont", "WA": "Washington", "WI": "Wisconsin", "WV": "West Virginia", "WY": "Wyoming",
}  # fmt: skip

_ALSO: Final[Mapping[str, str]] = {
    "washington dc": "DC",
    "washington d c": "DC",
    "virgin islands": "VI",
    "us virgin islands": "VI",
    "commonwealth of the northern mariana islands": "MP",
}


def _plain(text: str) -> str:
    return " ".join(text.replace(".", " ").replace(",", " ").split()).casefold()


_BY_NAME: Final[Mapping[str, str]] = {
    **{_plain(name): code for code, name in NAMES.items()},
    **{code.casefold(): code for code in NAMES},
    **{" ".join(code).casefold(): code for code in NAMES},  # "D.C."
    **{_plain(f"US-{code}"): code for code in NAMES},
    **_ALSO,
}


def read(text: str) -> str:
    """Return the abbreviation of a state as people write it: "fl", "Florida", "D.C.", "US-FL"; "" if it is none."""
    return _BY_NAME.get(_plain(text), "")
