"""The schema of a provider file.

One provider is one `Provider`, read from one TOML file.  The defaults are those of the RFCs, so a plain OAuth2 provider takes a few
lines.  Lengths of time are seconds in the files and `timedelta` here.  URLs may contain `{variables}`.
"""

from cloud_integrations.domain.entered import InputForm

from .base import RESERVED_PARAMETERS, JsonScalar, Seconds
from .device import Device
from .error_rules import ErrorClass, ErrorRule, LimitHeaders, RateLimit
from .inputs import Input
from .installation import Installation, Listing
from .methods import Callback, KeyRevocation, Method, Reply, Revoke
from .minting import Expires, Proof, Step, StepReply
from .predicates import Predicate
from .present import BEARER, VALUE, Basic, Digest, Present
from .provider import IDENTITY, STANDARD_BACKEND, Provider
from .scopes import Scopes
from .tokens import AccessTokenFacts, RefreshTokenFacts
from .trust import MustFail
from .variables import Variable, fill, find_origin, places
from .verification import Verification

__all__ = [
    "BEARER",
    "IDENTITY",
    "RESERVED_PARAMETERS",
    "STANDARD_BACKEND",
    "VALUE",
    "AccessTokenFacts",
    "Basic",
    "Callback",
    "Device",
    "Digest",
    "ErrorClass",
    "ErrorRule",
    "Expires",
    "Input",
    "InputForm",
    "Installation",
    "JsonScalar",
    "KeyRevocation",
    "LimitHeaders",
    "Listing",
    "Method",
    "MustFail",
    "Predicate",
    "Present",
    "Proof",
    "Provider",
    "RateLimit",
    "RefreshTokenFacts",
    "Reply",
    "Revoke",
    "Scopes",
    "Seconds",
    "Step",
    "StepReply",
    "Variable",
    "Verification",
    "fill",
    "find_origin",
    "places",
]
