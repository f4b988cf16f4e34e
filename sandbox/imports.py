"""Plausible people in any number, for imports."""

_FIRST = ("Maria", "Brian", "Ada", "Kai", "Zoë", "Noor", "Ivo", "Lena")
_LAST = ("Johnson", "Halligan", "Lovelace", "Møller", "O'Neill", "Santos", "Weiss")
_COMPANIES = ("ACME", "Globex", "Initech", "Umbrella", "Hooli")


def imported(prefix: str, number: int) -> dict[str, str]:
    """Return the properties of the n-th person of an import."""
    return {
        "email": f"{prefix}{number}@example.com",
        "firstname": _FIRST[number % len(_FIRST)],
        "lastname": _LAST[number % len(_LAST)],
        "phone": f"+1 555 {number:07}",
        "company": _COMPANIES[number % len(_COMPANIES)],
    }
