from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from emulated import WEBEX, attempt, consent, refresh_in_every_mode, refusal, report

TOKEN_URL = f"{WEBEX['base_url']}/access_token"
REVOKE_URL = f"{WEBEX['origin']}/idb/oauth2/v1/revoke"

client = OAuth2Session(
    WEBEX["client_id"],
    WEBEX["client_secret"],
    scope=WEBEX["scopes"],
    redirect_uri=WEBEX["redirect_uri"],
    code_challenge_method="S256",
    token_endpoint=TOKEN_URL,
)


def connect():
    verifier = generate_token(48)
    link, state = client.create_authorization_url(f"{WEBEX['base_url']}/authorize", code_verifier=verifier)
    address = consent(link)
    client.fetch_token(TOKEN_URL, authorization_response=address, state=state, code_verifier=verifier)


def get(path):
    client.get(f"{WEBEX['base_url']}/{path}").raise_for_status()


def revoke():
    client.revoke_token(REVOKE_URL, client.token["refresh_token"], "refresh_token").raise_for_status()


connect()
modes = refresh_in_every_mode(client.refresh_token)
refused = refusal(client.token["refresh_token"], client.refresh_token)

connect()
resources = {}
for path in ["organizations", "people/me", "roles", "licenses"]:
    resources[path] = attempt(lambda: get(path))
report(connect="works, with PKCE", modes=modes, refused=refused, resources=resources, revoke=attempt(revoke),
       revokedBy="/idb/oauth2/v1/revoke")
