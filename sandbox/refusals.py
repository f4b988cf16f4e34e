"""Refusals that come before any record is looked at: credentials, scopes, rates, failures.

They share the envelope of `errors`.
"""

import uuid
from enum import StrEnum

from sandbox.errors import HubSpotError, refusal

MISSING_SCOPES = "MISSING_SCOPES"
_OAUTH_HELP = "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
_SCOPES_HELP = "https://developers.hubspot.com/scopes"


class Policy(StrEnum):
    """The rate limit that a 429 names."""

    TEN_SECONDLY_ROLLING = "TEN_SECONDLY_ROLLING"
    SECONDLY = "SECONDLY"
    DAILY = "DAILY"


def unauthenticated() -> HubSpotError:
    """No token, or one that HubSpot does not know or knows no longer."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
        f"more details at {_OAUTH_HELP}"
    )
    return refusal(401, message, "INVALID_AUTHENTICATION")


def missing_scopes(needed: list[str]) -> HubSpotError:
    """A token without the scope for this call."""
    message = (
        "This app hasn't been granted all required scopes to make this call. "
        f"Read more about required scopes here: {_SCOPES_HELP}."
    )
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredScopes": ["contacts"], "requiredGranularScopes": needed},
    }
    return refusal(403, message, errors=[detail], links={"scopes": _SCOPES_HELP}, category=MISSING_SCOPES)


def no_property_access(portal_id: int) -> HubSpotError:
    """A token that may not see property definitions."""
    return refusal(
        403,
        "You do not have permissions to view object type ObjectTypeId{legacyObjectType=CONTACT} "
        f"in portal {portal_id} (requires one of [contacts-read])",
    )


def rate_limited(policy: Policy, retry_after: str | None = None) -> HubSpotError:
    """Too many calls; HubSpot sends no Retry-After unless told to here."""
    words = {Policy.SECONDLY: "secondly", Policy.DAILY: "daily"}.get(policy, "ten_secondly_rolling")
    error = refusal(
        429,
        f"You have reached your {words} limit.",
        errorType="RATE_LIMIT",
        policyName=policy.value,
        requestId=str(uuid.uuid4()),
    )
    if retry_after is not None:
        error.headers["Retry-After"] = retry_after
    return error


def internal_error() -> HubSpotError:
    """HubSpot broke."""
    return refusal(500, "internal error")


def uri_too_long() -> HubSpotError:
    """A request line longer than HubSpot's front accepts."""
    return HubSpotError(414, "<html>\n<head><title>414 Request-URI Too Large</title></head>\n</html>\n")
