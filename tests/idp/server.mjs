// A real OpenID Connect provider on a free port, for one test process. Clients are programs that ask for
// access tokens by their own credentials; POST /rotate gives the provider new keys.
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

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

let answer;
const server = createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    start();
    response.writeHead(204).end();
    return;
  }
  answer(request, response);
});

function start() {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys: [signingKey()] },
    clients: Object.keys(CLIENTS).map((client_id) => ({
      client_id,
      client_secret: 'secret-of-a-test',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    scopes: ['use'],
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
