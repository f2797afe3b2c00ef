// A real OpenID provider for the tests of the log-in: oidc-provider, with a person whom the test sends.
//
// The environment has OPENID_PROVIDER: client_id, client_secret, redirect_uri, post_logout_redirect_uri, and now, the
// time of the test. The first line of the output is the port. POST /control changes the person (sub, name, groups) and
// the seconds of a log-in (session). It also makes the provider decline (declines), change its key (rotates), have no
// log-out (withoutLogOut), or answer all requests with an error (fails). The response has these and the number of
// log-ins.

import crypto from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';
import { Provider } from 'oidc-provider';

const given = JSON.parse(process.env.OPENID_PROVIDER);
const realNow = Date.now;
const started = realNow();
Date.now = () => given.now + realNow() - started;

const person = { sub: '1', name: 'ada', groups: [], session: 1, declines: false, fails: false, logIns: 0 };
let provider;
let answer;

function createProvider(issuer) {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: crypto.randomUUID(), alg: 'RS256', use: 'sig' };
  provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [{
      client_id: given.client_id,
      client_secret: given.client_secret,
      redirect_uris: [given.redirect_uri],
      post_logout_redirect_uris: [given.post_logout_redirect_uri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    scopes: ['openid', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['test'] },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: !person.withoutLogOut },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    ttl: { Session: () => person.session },
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: person.name, groups: person.groups }),
    }),
  });
  answer = provider.callback();
}

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  let result;
  if (person.declines) {
    result = { error: 'access_denied', error_description: '<script>alert(1)</script>' };
  } else if (prompt.name === 'login') {
    person.logIns += 1;
    result = { login: { accountId: person.sub } };
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function control(request, response) {
  let text = '';
  for await (const part of request) text += part;
  const change = JSON.parse(text);
  Object.assign(person, change);
  if (change.rotates || change.withoutLogOut) createProvider(issuer);
  response.end(JSON.stringify(person));
}

const server = http.createServer((request, response) => {
  const fail = (error) => {
    console.error(error);
    response.writeHead(500).end();
  };
  if (request.url === '/control') control(request, response).catch(fail);
  else if (person.fails) response.writeHead(503).end();
  else if (request.url.startsWith('/interaction/')) interact(request, response).catch(fail);
  else answer(request, response);
});
let issuer;
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  createProvider(issuer);
  console.log(server.address().port);
});
// The test has ended when it closes the input.
readline.createInterface({ input: process.stdin }).on('close', () => process.exit(0));
