// The parts that each JavaScript client needs besides its own library: the emulator's address, an administrator who
// consents, and the control plane.

import {writeFileSync} from 'node:fs';

export const WEBEX = JSON.parse(process.env.EMULATED_WEBEX);
const MODES = ['extend-same', 'frozen-clock', 'omit-refresh-token', 'rotate', 'same-access-token'];

async function post(url, body, type) {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: {'content-type': type},
    redirect: 'manual',
  });
  if (response.status >= 400) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

/** Accepts at the page of this link, as its form does; returns the address of the redirect. */
export async function consent(link) {
  const [url, query] = link.split('?');
  const form = `${query}&decision=accept`;
  const response = await post(url, form, 'application/x-www-form-urlencoded');
  return new URL(response.headers.get('location'));
}

async function control(path, body) {
  await post(`${WEBEX.origin}/_emulator/${path}`, JSON.stringify(body), 'application/json');
}

/** Returns what the client did: "works", or its error in one line. */
export async function attempt(action) {
  try {
    await action();
    return 'works';
  } catch (error) {
    const text = String(error.message ?? error).replaceAll(WEBEX.origin, '').split(/\s+/).join(' ');
    const code = error.error ? ` (${error.error})` : '';
    return `${error.constructor.name}: ${text}${code}`.slice(0, 120);
  }
}

/** Refreshes twice in each mode, in which the second needs what the first has kept. */
export async function refreshInEveryMode(refresh) {
  const outcomes = {};
  for (const mode of MODES) {
    await control('mode', {mode});
    outcomes[mode] = await attempt(async () => {
      await refresh();
      await refresh();
    });
  }
  await control('mode', {mode: MODES[0]});
  return outcomes;
}

/** Returns what the client makes of a refresh token that Webex refuses. */
export async function refusal(token, refresh) {
  await control('revoke', {token: token()});
  return attempt(refresh);
}

/** Reports to the test; the output of this process has the client's own messages. */
export function report(cells) {
  writeFileSync(WEBEX.report, JSON.stringify(cells));
  // Some clients keep timers for the next refresh.
  process.exit();
}
