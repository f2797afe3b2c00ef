from urllib.parse import urlencode

from emulated import WEBEX, attempt, consent, control, query, refresh_in_every_mode, refusal, report
from webexpythonsdk import WebexAPI

# The SDK has no function for the link.
link = f"{WEBEX['base_url']}/authorize?" + urlencode({
    "response_type": "code",
    "client_id": WEBEX["client_id"],
    "redirect_uri": WEBEX["redirect_uri"],
    "scope": WEBEX["scopes"],
})


def connect():
    return WebexAPI(
        base_url=f"{WEBEX['base_url']}/",
        client_id=WEBEX["client_id"],
        client_secret=WEBEX["client_secret"],
        redirect_uri=WEBEX["redirect_uri"],
        oauth_code=query(consent(link))["code"],
    )


def exchange():
    code = query(consent(link))["code"]
    return api.access_tokens.get(WEBEX["client_id"], WEBEX["client_secret"], code, WEBEX["redirect_uri"])


def refresh():
    global tokens
    new = api.access_tokens.refresh(WEBEX["client_id"], WEBEX["client_secret"], tokens.refresh_token)
    # The SDK stores no tokens.
    if new.refresh_token:
        tokens = new


def organization():
    found = next(iter(api.organizations.list()))
    return api.organizations.get(found.id).created


def roles():
    names = [role.name for role in api.roles.list()]
    assert len(names) == 6, f"{len(names)} of 6 roles"
    api.roles.get(next(iter(api.roles.list())).id)


api = connect()
tokens = exchange()
modes = refresh_in_every_mode(refresh)
refused = refusal(tokens.refresh_token, refresh)


def people():
    found = [person.id for person in api.people.list()]
    assert len(found) == 5, f"{len(found)} of 5 people"


api = connect()
# It follows the next URL of any list.
control("paging", {"listing": "roles", "paging": {"page_size": 4}})
control("paging", {"listing": "people", "paging": {"page_size": 2}})
resources = {
    "organizations": attempt(organization),
    "people": attempt(people),
    "people/me": attempt(lambda: api.people.me().created),
    "roles": attempt(roles),
    "licenses": attempt(lambda: api.licenses.get(list(api.licenses.list())[-1].id)),
}
report(connect="works", modes=modes, refused=refused, resources=resources, revoke="no function", revokedBy="")
