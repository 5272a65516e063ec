"""The schema of a provider file.

One provider is one `Provider`, read from one TOML file.  The defaults are those of the RFCs, so a plain OAuth2 provider takes a few
lines.  Lengths of time are seconds in the files and `timedelta` here.  URLs may contain `{variables}`.
"""

from cloud_integrations.domain.entered import InputForm

from .after_connecting import AfterConnecting
from .base import RESERVED_PARAMETERS, JsonScalar, Seconds
from .categories import CATEGORIES
from .device import Device
from .error_rules import ErrorClass, ErrorRule, LimitHeaders, RateLimit
from .inputs import Derivation, Input
from .installation import Installation, Listing
from .key_formats import TELLING, KeyFormat
from .methods import Callback, KeyRevocation, Method, Reply, Revoke
from .minting import Expires, Proof, Step, StepReply
from .narrowing import Narrowing
from .predicates import Predicate
from .present import BEARER, VALUE, Basic, Digest, Present
from .programs import Cluster, EndpointProtocol, Login, Programs
from .provider import IDENTITY, STANDARD_BACKEND, Deprecation, Provider
from .rotation import NewKey
from .scopes import Scopes
from .tokens import AccessTokenFacts, RefreshTokenFacts
from .trust import MustFail
from .variables import Variable, fill, fill_all, find_origin, places
from .verification import Verification

__all__ = [
    "BEARER",
    "CATEGORIES",
    "IDENTITY",
    "RESERVED_PARAMETERS",
    "STANDARD_BACKEND",
    "TELLING",
    "VALUE",
    "AccessTokenFacts",
    "AfterConnecting",
    "Basic",
    "Callback",
    "Cluster",
    "Deprecation",
    "Derivation",
    "Device",
    "Digest",
    "EndpointProtocol",
    "ErrorClass",
    "ErrorRule",
    "Expires",
    "Input",
    "InputForm",
    "Installation",
    "JsonScalar",
    "KeyFormat",
    "KeyRevocation",
    "LimitHeaders",
    "Listing",
    "Login",
    "Method",
    "MustFail",
    "Narrowing",
    "NewKey",
    "Predicate",
    "Present",
    "Programs",
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
    "fill_all",
    "find_origin",
    "places",
]
