"""What is known about a provider, as data.

One provider is one value read from one file; every field has the standard's value as its default,
so that a plain OAuth2 provider takes a few lines.  Lengths of time are seconds in the files and
`timedelta` here.  URLs may hold `{variables}`.
"""

from .base import RESERVED_PARAMETERS, JsonScalar, Seconds
from .error_rules import ErrorClass, ErrorRule, LimitHeaders, RateLimit
from .methods import Accepted, Callback, Input, Method, Reply, Revoke
from .placement import Placement
from .predicates import Predicate
from .provider import STANDARD_BACKEND, Provider
from .scopes import Scopes
from .tokens import AccessTokenFacts, RefreshTokenFacts
from .variables import Variable, fill, places
from .verification import Verification

__all__ = [
    "RESERVED_PARAMETERS",
    "STANDARD_BACKEND",
    "Accepted",
    "AccessTokenFacts",
    "Callback",
    "ErrorClass",
    "ErrorRule",
    "Input",
    "JsonScalar",
    "LimitHeaders",
    "Method",
    "Placement",
    "Predicate",
    "Provider",
    "RateLimit",
    "RefreshTokenFacts",
    "Reply",
    "Revoke",
    "Scopes",
    "Seconds",
    "Variable",
    "Verification",
    "fill",
    "places",
]
