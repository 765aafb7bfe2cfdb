"""North American area codes: the state of each, and the zones its people may be in.

Data only. An area code says where a number was handed out, so a code on a zone border lists both
sides: an extra zone costs an hour of sending, a missing one wakes a person. Reviewed against NANPA
each quarter; a test compares it with the prefixes `phonenumbers` knows. Canadian and Caribbean
codes that are not here lie in one zone, and `phonenumbers` knows it.
"""

from collections.abc import Mapping
from typing import Final

_CODES: Final[Mapping[str, str]] = {
    "AK": "907",
    "AL": "205 251 256 334 483 659 938",
    "AR": "327 479 501 870",
    "AS": "684",
    "AZ": "480 520 602 623 928",
    "CA": (
        "209 213 279 310 323 341 350 357 369 408 415 424 442 510 530 559 562 619 626 628 650 657 "
        "661 669 707 714 738 747 760 805 818 820 831 837 840 858 909 916 925 949 951"
    ),
    "CO": "303 719 720 748 970 983",
    "CT": "203 475 860 959",
    "DC": "202 771",
    "DE": "302",
    "FL": ("239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954"),
    "GA": "229 404 470 478 678 706 762 770 912 943",
    "GU": "671",
    "HI": "808",
    "IA": "319 515 563 641 712",
    "ID": "208 986",
    "IL": "217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 872",
    "IN": "219 260 317 463 574 765 812 930",
    "KS": "316 620 785 913",
    "KY": "270 364 502 606 859",
    "LA": "225 318 337 457 504 985",
    "MA": "339 351 413 508 617 774 781 857 978",
    "MD": "227 240 301 410 443 667",
    "ME": "207",
    "MI": "231 248 269 313 517 586 616 679 734 810 906 947 989",
    "MN": "218 320 507 612 651 763 952",
    "MO": "235 314 417 557 573 636 660 816",
    "MP": "670",
    "MS": "228 471 601 662 769",
    "MT": "406",
    "NC": "252 336 472 704 743 828 910 919 980 984",
    "ND": "701",
    "NE": "308 402 531",
    "NH": "603",
    "NJ": "201 551 609 640 732 848 856 862 908 973",
    "NM": "505 575",
    "NV": "702 725 775",
    "NY": "212 315 329 332 347 363 516 518 585 607 631 646 680 716 718 838 845 914 917 929 934",
    "OH": "216 220 234 283 326 330 380 419 440 513 567 614 740 937",
    "OK": "405 539 572 580 918",
    "OR": "458 503 541 971",
    "PA": "215 223 267 272 412 445 484 570 582 610 717 724 814 835 878",
    "PR": "787 939",
    "RI": "401",
    "SC": "803 821 839 843 854 864",
    "SD": "605",
    "TN": "423 615 629 729 731 865 901 931",
    "TX": (
        "210 214 254 281 325 346 361 409 430 432 469 512 621 682 713 726 737 806 817 830 832 903 "
        "915 936 940 945 956 972 979"
    ),
    "UT": "385 435 801",
    "VA": "276 434 540 571 686 703 757 804 826 948",
    "VI": "340",
    "VT": "802",
    "WA": "206 253 360 425 509 564",
    "WI": "262 274 353 414 534 608 715 920",
    "WV": "304 681",
    "WY": "307",
}

# The zone of a state's codes, unless the code is listed in _SPLIT.
_HOME: Final[Mapping[str, str]] = {
    "America/Anchorage": "AK",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Boise": "ID",
    "America/Denver": "CO MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/New_York": "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV",
    "America/Phoenix": "AZ",
    "America/Puerto_Rico": "PR",
    "America/St_Thomas": "VI",
    "Pacific/Guam": "GU",
    "Pacific/Honolulu": "HI",
    "Pacific/Pago_Pago": "AS",
    "Pacific/Saipan": "MP",
}

# Codes with more than one zone, or with another one than their state has.
# 928: the Navajo Nation changes its clocks, the rest of Arizona does not.
_SPLIT: Final[Mapping[str, str]] = {
    "907": "America/Anchorage America/Adak",
    "928": "America/Phoenix America/Denver",
    "448 689 850": "America/New_York America/Chicago",
    "208 986": "America/Boise America/Los_Angeles",
    "219 574 812 930": "America/New_York America/Chicago",
    "620 785": "America/Chicago America/Denver",
    "270 364 606": "America/New_York America/Chicago",
    "906": "America/New_York America/Chicago",
    "308 402 531": "America/Chicago America/Denver",
    "605 701": "America/Chicago America/Denver",
    "458 541": "America/Los_Angeles America/Boise",
    "775": "America/Los_Angeles America/Denver",
    "423 729 865": "America/New_York America/Chicago",
    "432": "America/Chicago America/Denver",
    "915": "America/Denver",
}

_CANADA: Final[Mapping[str, str]] = {
    "236 250 257 672 778": "America/Vancouver America/Edmonton",
    "807": "America/Toronto America/Winnipeg",
    "367 418 581": "America/Toronto America/Halifax",
    "709 879": "America/St_Johns America/Halifax",
    "306 639": "America/Regina America/Edmonton",
    "474": "America/Regina America/Edmonton America/Winnipeg",
    "867": "America/Whitehorse America/Edmonton America/Winnipeg America/Toronto",
}


def _spread(table: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """A table whose keys hold several codes, as one entry per code."""
    return {code: frozenset(zones.split()) for codes, zones in table.items() for code in codes.split()}


_STATE_HOME: Final = {state: zone for zone, states in _HOME.items() for state in states.split()}

STATE: Final[Mapping[str, str]] = {code: state for state, codes in _CODES.items() for code in codes.split()}
"""US area code -> postal abbreviation of its state or territory."""

ZONES: Final[Mapping[str, frozenset[str]]] = {
    **{code: frozenset({_STATE_HOME[state]}) for code, state in STATE.items()},
    **_spread(_SPLIT),
    **_spread(_CANADA),
}
"""Area code -> every zone its people may live in (of Canada, only codes with several)."""

STATE_ZONES: Final[Mapping[str, frozenset[str]]] = {
    state: frozenset().union(*(ZONES[code] for code in codes.split())) for state, codes in _CODES.items()
}
"""State or territory -> all its zones, as far as its area codes tell."""

CANADA_ZONES: Final = frozenset({"America/Halifax", "America/Regina"}.union(*_spread(_CANADA).values()))

_TERRITORIES: Final = frozenset({"PR", "VI", "GU", "MP", "AS"})
COUNTRY: Final[Mapping[str, str]] = {
    code: STATE[code] if STATE.get(code) in _TERRITORIES else "US" if code in STATE else "CA" for code in ZONES
}
"""Area code -> country, for the number rules."""
