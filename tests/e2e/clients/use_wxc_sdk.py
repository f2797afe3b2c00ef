from emulated import WEBEX, attempt, consent, control, query, refresh_in_every_mode, refusal, report
from wxc_sdk import WebexSimpleApi
from wxc_sdk.integration import Integration
from wxc_sdk.rest import RestSession

# The SDK has no parameter for the base of the API.
RestSession.BASE = WEBEX["base_url"]

integration = Integration(
    client_id=WEBEX["client_id"],
    client_secret=WEBEX["client_secret"],
    scopes=WEBEX["scopes"],
    redirect_url=WEBEX["redirect_uri"],
    auth_service=f"{WEBEX['base_url']}/authorize",
    token_service=f"{WEBEX['base_url']}/access_token",
)


def connect():
    callback = query(consent(integration.auth_url(state="a state")))
    assert callback["state"] == "a state"
    return integration.tokens_from_code(callback["code"])


tokens = connect()
kept = tokens.model_copy()


def refresh():
    integration.refresh(tokens)
    if not tokens.refresh_token:
        tokens.__dict__.update(kept.__dict__)
        raise LookupError("the stored refresh token is erased")


modes = refresh_in_every_mode(refresh)
refused = refusal(tokens.refresh_token, refresh)

tokens = connect()
api = WebexSimpleApi(tokens=tokens)


def organization():
    return api.organizations.details(api.organizations.list()[0].org_id)


def me():
    person = api.people.me()
    assert person.created and person.roles and person.login_enabled is True
    return person


def complete(found, count):
    assert len(found) == count, f"{len(found)} of {count}"


# It follows the next URLs of the lists that have them.
for listing, page_size in [("people", 2), ("locations", 1), ("groups", 1)]:
    control("paging", {"listing": listing, "paging": {"page_size": page_size}})

resources = {
    "people": attempt(lambda: complete(list(api.people.list(calling_data=True)), 5)),
    "locations": attempt(lambda: complete(list(api.locations.list()), 2)),
    "workspaces": attempt(lambda: complete(list(api.workspaces.list()), 3)),
    "groups": attempt(lambda: complete(list(api.groups.list(include_members=True)), 2)),
    "organizations": attempt(organization),
    "people/me": attempt(me),
    "roles": attempt(lambda: api.roles.details(api.roles.list()[-1].id)),
    "licenses": attempt(lambda: api.licenses.details(api.licenses.list()[-1].license_id)),
    "authorizations": attempt(lambda: api.authorizations.list(person_id=me().person_id)[1]),
}
revoke = attempt(lambda: api.authorizations.delete(client_id=WEBEX["client_id"]))
report(connect="works", modes=modes, refused=refused, resources=resources, revoke=revoke,
       revokedBy="DELETE /v1/authorizations")
