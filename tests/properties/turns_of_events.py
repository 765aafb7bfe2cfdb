"""What a machine can be told to let happen around a claim."""

import enum


class Meanwhile(enum.Enum):
    """What happens between the checks and the claim."""

    NOTHING = enum.auto()
    SOMEBODY_SAYS_STOP = enum.auto()
    THE_RUN_IS_CANCELLED = enum.auto()
    THE_RUN_IS_PAUSED = enum.auto()
    THE_ACCOUNT_IS_PAUSED = enum.auto()
    MINUTES_PASS = enum.auto()
    THE_DAY_ENDS = enum.auto()


class Then(enum.Enum):
    """What becomes of the answers."""

    WAITS = enum.auto()
    IS_HEARD = enum.auto()
    IS_TRIED_ELSEWHERE = enum.auto()
    IS_GIVEN_UP = enum.auto()
