"""What columns and tables are usually called, and what is usually meant by it."""

import re

from reconciler.mapping.catalogue import Column, Found

FULL_NAMES = ("name", "fullname", "displayname", "realname")

_PROPERTIES = {
    "email": ("email", "emailaddress", "mail", "mailaddress", "primaryemail"),
    "firstname": ("firstname", "fname", "givenname", "forename"),
    "lastname": ("lastname", "lname", "surname", "familyname"),
    "phone": ("phone", "phonenumber", "telephone", "tel", "phoneno"),
    "mobilephone": ("mobilephone", "mobile", "mobilenumber", "cellphone", "cell"),
    "fax": ("fax", "faxnumber"),
    "company": ("company", "companyname", "organisation", "organization", "organisationname", "organizationname"),
    "website": ("website", "websiteurl", "url", "homepage"),
    "jobtitle": ("jobtitle", "jobposition"),
    "address": ("address", "streetaddress", "street", "address1", "addressline1"),
    "city": ("city", "town"),
    "state": ("state", "region", "province"),
    "zip": ("zip", "zipcode", "postalcode", "postcode"),
    "country": ("country", "countryname"),
    "date_of_birth": ("dateofbirth", "birthdate", "birthday", "dob", "bornon"),
    "lifecyclestage": ("lifecyclestage", "lifecycle"),
}

CREATED = ("createdat", "createdon", "created", "createdate", "creationdate", "datecreated", "datejoined", "joinedat",
           "registeredat", "signedupat", "insertedat")  # fmt: skip
UPDATED = ("updatedat", "updatedon", "updated", "lastupdate", "lastupdated", "lastupdatedat", "modified", "modifiedat",
           "lastmodified", "datemodified", "changedat")  # fmt: skip
DEAD_SINCE = ("deletedat", "deletedon", "deleted", "removedat", "archivedat", "discardedat", "deactivatedat")
DEAD = ("isdeleted", "deleted", "isremoved", "isarchived", "isdisabled", "disabled")
ALIVE = ("isactive", "activebool", "active", "isenabled", "enabled")
STAFF = ("isstaff", "issuperuser", "isadmin", "admin", "staff", "superuser", "moderator", "ismoderator", "isbot", "bot",
         "issystem")  # fmt: skip
ROLES = ("role", "userrole", "usertype")
STAFF_LABELS = ("admin", "administrator", "superadmin", "staff", "owner", "moderator", "system", "bot")
TENANTS = ("tenantid", "accountid", "organizationid", "organisationid", "orgid", "workspaceid", "storeid", "shopid",
           "siteid", "teamid")  # fmt: skip
PRIMARY = ("primary", "isprimary", "main", "ismain", "isdefault", "default")
LOGINS = ("username", "login", "handle", "nickname", "usernamelower", "loginlower", "normalizedusername")

_PEOPLE = ("customer", "contact", "user", "person", "people", "member", "client", "subscriber", "lead")
_OTHERS = ("address", "email", "log", "audit", "token", "session", "history", "invitation", "invite", "payment",
           "order", "employee", "admin", "backup", "archive", "event", "message", "tmp", "import", "group",
           "role")  # fmt: skip


def plain(name: str) -> str:
    """Return a name as it is compared: without its case, its underscores and the like."""
    return re.sub(r"[\W_]", "", name).lower()


def property_meant(name: str) -> str | None:
    """Return the HubSpot property that a column of this name usually holds."""
    return next((known for known, names in _PROPERTIES.items() if plain(name) in names), None)


def is_name(column: Column) -> bool:
    """Whether the column looks as if it held people's names."""
    is_named = property_meant(column.name) in ("firstname", "lastname") or plain(column.name) in FULL_NAMES
    return is_named and column.is_text


def mentions(sql: str, name: str) -> bool:
    """Whether SQL speaks of a column."""
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql) is not None


def first_named(found: Found, names: tuple[str, ...]) -> list[Column]:
    """Return the columns with one of these names, in the order of the names."""
    columns = [each for each in found.columns if plain(each.name) in names]
    return sorted(columns, key=lambda column: names.index(plain(column.name)))


def likeness(table: str) -> int:
    """Return how much a table's name is like one of people: 2 is one, 1 speaks of one, below 0 is of other things."""
    words = [_singular(word) for word in re.split(r"[\W_]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", table).lower())]
    if words[-1] in _OTHERS:
        return -2
    if words[-1] in _PEOPLE:
        return 2 if len(words) == 1 else 1
    return 1 if any(word in _PEOPLE for word in words) else 0


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
