import * as client from 'openid-client';
import {WEBEX, attempt, consent, refreshInEveryMode, refusal, report} from './emulated.mjs';

const server = {
  issuer: WEBEX.origin,
  authorization_endpoint: `${WEBEX.base_url}/authorize`,
  token_endpoint: `${WEBEX.base_url}/access_token`,
  revocation_endpoint: `${WEBEX.origin}/idb/oauth2/v1/revoke`,
};
const config = new client.Configuration(server, WEBEX.client_id, WEBEX.client_secret);
client.allowInsecureRequests(config);

let tokens;

async function connect() {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const link = client.buildAuthorizationUrl(config, {
    redirect_uri: WEBEX.redirect_uri,
    scope: WEBEX.scopes,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  tokens = await client.authorizationCodeGrant(config, await consent(link.href), {
    pkceCodeVerifier: verifier,
    expectedState: state,
  });
}

async function refresh() {
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
  // The library stores no tokens.
  tokens = {...tokens, ...fresh};
}

async function get(path) {
  const url = new URL(`${WEBEX.base_url}/${path}`);
  const response = await client.fetchProtectedResource(config, tokens.access_token, url, 'GET');
  if (!response.ok) throw new Error(`status ${response.status}`);
  await response.json();
}

await connect();
const modes = await refreshInEveryMode(refresh);
const refused = await refusal(() => tokens.refresh_token, refresh);

await connect();
const resources = {};
for (const path of ['organizations', 'people/me', 'roles', 'licenses']) {
  resources[path] = await attempt(() => get(path));
}
const revoke = await attempt(() => client.tokenRevocation(config, tokens.refresh_token));
report({connect: 'works, with PKCE', modes, refused, resources, revoke, revokedBy: '/idb/oauth2/v1/revoke'});
