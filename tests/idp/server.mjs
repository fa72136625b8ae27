// A real OpenID Connect provider on a free port, for one test process. Clients are programs that ask for
// access tokens by their own credentials, and the pages (their redirect address is the argument), at which
// people sign in by a name and a password; POST /rotate gives the provider new keys.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const AUDIENCE = 'urn:cohortlink:test';
const CLIENTS = {
  // client id: extra claims of its tokens
  'agency-program': { cohortlink_organization: 'oh-education', cohortlink_role: 'agency' },
  'auditor-program': { cohortlink_organization: 'auditor', cohortlink_role: 'auditor' },
  'unknown-organization': { cohortlink_organization: 'nowhere', cohortlink_role: 'agency' },
  'unknown-role': { cohortlink_organization: 'oh-education', cohortlink_role: 'root' },
  'odd-claims': { cohortlink_organization: ['oh-education'], cohortlink_role: { role: 'agency' } },
  'no-claims': {},
};

const PEOPLE = {
  // name: claims; all have the password below
  'ana.lyst': { cohortlink_organization: 'partnership', cohortlink_role: 'partnership' },
  'owen.data': { cohortlink_organization: 'ohio-education', cohortlink_role: 'agency' },
  'stray.cat': {},
};
const PASSWORD = 'correct horse battery staple';
const PAGES = process.argv[2] && {
  client_id: 'cohortlink-pages',
  client_secret: 'a secret: with/signs %',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: [process.argv[2]],
};

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

let answer;
let provider;
const server = createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    start();
    response.writeHead(204).end();
    return;
  }
  if (request.url.startsWith('/interaction/')) {
    await interact(request, response);
    return;
  }
  answer(request, response);
});

// Whoever is asked for types name and password; what the client may know is not asked.
async function interact(request, response) {
  const typed = new URLSearchParams();
  if (request.method === 'POST') {
    let body = '';
    for await (const part of request) body += part;
    for (const [name, value] of new URLSearchParams(body)) typed.set(name, value);
    if (typed.has('cancel')) {
      await provider.interactionFinished(request, response, { error: 'access_denied' });
      return;
    }
    if (typed.get('name') in PEOPLE && typed.get('password') === PASSWORD) {
      await provider.interactionFinished(request, response, { login: { accountId: typed.get('name') } });
      return;
    }
  }
  response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><html lang="en">
    <title>Provider</title><h1>Your organization</h1><form method="post">
    <label>Name <input name="name"></label> <label>Password <input name="password" type="password"></label>
    <button>Log in</button> <button name="cancel" value="1">Cancel</button></form></html>`);
}

function start() {
  provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys: [signingKey()] },
    clients: Object.keys(CLIENTS).map((client_id) => ({
      client_id,
      client_secret: 'secret-of-a-test',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })).concat(PAGES || []),
    scopes: ['openid', 'use'],
    claims: { openid: ['sub', 'cohortlink_organization', 'cohortlink_role'] },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, ...PEOPLE[accountId] }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: ['of a test'] },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
    extraTokenClaims: (_, token) => CLIENTS[token.clientId],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          scope: 'use',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  answer = provider.callback();
}

server.listen(0, '127.0.0.1', () => {
  start();
  console.log(JSON.stringify({ issuer: `http://127.0.0.1:${server.address().port}`, audience: AUDIENCE }));
});
// The test holds the other end: when it is gone, so is this.
process.stdin.on('end', () => process.exit(0)).resume();
