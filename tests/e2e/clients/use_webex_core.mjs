import {WEBEX, attempt, consent, refreshInEveryMode, refusal, report} from './emulated.mjs';

// The SDK reads its addresses and client when it is imported.
Object.assign(process.env, {
  IDBROKER_BASE_URL: WEBEX.origin,
  HYDRA_SERVICE_URL: WEBEX.base_url,
  U2C_SERVICE_URL: `${WEBEX.origin}/u2c`,
  SQDISCOVERY_SERVICE_URL: `${WEBEX.origin}/region`,
  WEBEX_CLIENT_ID: WEBEX.client_id,
  WEBEX_CLIENT_SECRET: WEBEX.client_secret,
  WEBEX_REDIRECT_URI: WEBEX.redirect_uri,
  WEBEX_SCOPE: WEBEX.scopes,
});
await import('@webex/plugin-authorization-node');
const {default: core} = await import('@webex/webex-core');
const Core = core.default ?? core;

const webex = new Core({
  config: {
    services: {allowedDomains: [new URL(WEBEX.origin).hostname]},
  },
});

async function connect() {
  const link = webex.credentials.buildLoginUrl({clientType: 'confidential', state: {csrf: 'a state'}});
  const code = (await consent(link)).searchParams.get('code');
  await webex.authorization.requestAuthorizationCodeGrant({code});
}

const refresh = () => webex.credentials.refresh();

await connect();
const modes = await refreshInEveryMode(refresh);
const refused = await refusal(() => webex.credentials.supertoken.refresh_token, refresh);

await connect();
const resources = {};
for (const path of ['organizations', 'people/me', 'roles', 'licenses']) {
  resources[path] = await attempt(() => webex.request({uri: `${WEBEX.base_url}/${path}`}));
}
const revoke = await attempt(() => webex.credentials.supertoken.revoke());
report({connect: 'works', modes, refused, resources, revoke, revokedBy: '/idb/oauth2/v1/revoke'});
