// A real OAuth 2.0 authorization server on loopback, for the integration tests only.
//
//     node server.mjs PORT        (0: any free port)
//
// The first line of stdin is the configuration as JSON, so that no client secret is ever in an argument list:
//
//     {"clients": [{"client_id", "client_secret" or "jwks", "token_endpoint_auth_method"}, …],
//      "redirect_uris": ["http://127.0.0.1/callback", …],
//      "access_token_seconds": 60,
//      "dpop_nonces": false}         (whether a proof of DPoP needs a nonce of the server)
//
// One line on stdout, {"issuer": "http://127.0.0.1:…"}, says that it is ready. It ends when stdin closes, so it cannot outlive its test run.
//
// Three doors are for tests alone:
//     GET  /test/requests        what the token, revocation and introspection endpoints saw; never a secret
//     POST /test/redirect-uris   the body, as text, becomes a redirect URI of every client
//     GET  /test/resource        a resource that takes a bearer token of the grant client_credentials, and says whose it is

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import Provider from 'oidc-provider';

const DAY = 24 * 60 * 60;
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const WATCHED = { '/token': 'token', '/token/revocation': 'revocation', '/token/introspection': 'introspection' };

// The library gives its advice through console.info; stdout belongs to the one line that says we are ready.
console.info = console.error;

const lines = createInterface({ input: process.stdin });
const [firstLine] = await once(lines, 'line');
lines.on('close', () => process.exit(0));
const { clients, redirect_uris: redirectUris, access_token_seconds: accessTokenSeconds, dpop_nonces: dpopNonces } = JSON.parse(firstLine);

const server = createServer();
await once(server.listen(Number(process.argv[2]), '127.0.0.1'), 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signingKey = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' };
signingKey.kid = createHash('sha256').update(signingKey.x).digest('base64url');

const provider = new Provider(issuer, {
  clients: clients.map((client) => ({
    ...client,
    redirect_uris: redirectUris,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE],
  })),
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  responseTypes: ['code'],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  jwks: { keys: [signingKey] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'read', 'write'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  // A refresh token comes with every code and outlives the browser session, as with most providers of APIs.
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  // Each refresh consumes the token it used; one that comes back a second time ends the whole grant (RFC 9700 §4.14.2).
  rotateRefreshToken: true,
  ttl: {
    AccessToken: accessTokenSeconds,
    AuthorizationCode: 60,
    ClientCredentials: accessTokenSeconds,
    DeviceCode: 600,
    IdToken: accessTokenSeconds,
    RefreshToken: DAY,
    Interaction: 600,
    Session: DAY,
    Grant: DAY,
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => dpopNonces === true },
  },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `Test account ${id}`, email: `${id}@example.test`, email_verified: true }),
  }),
});

const seen = [];
provider.use(async (ctx, next) => {
  await next();
  const endpoint = WATCHED[ctx.path];
  if (endpoint === undefined) return;
  seen.push({
    endpoint,
    method: ctx.method,
    client_id: ctx.oidc?.client?.clientId ?? null,
    grant_type: ctx.oidc?.params?.grant_type ?? null,
    has_code_verifier: ctx.oidc?.params?.code_verifier !== undefined,
    status: ctx.status,
    error: ctx.body?.error ?? null,
  });
});
const authorizationServer = provider.callback();

async function allowRedirectUri(uri) {
  for (const { client_id: id } of clients) {
    const { redirectUris: allowed } = await provider.Client.find(id);
    if (!allowed.includes(uri)) allowed.push(uri);
  }
}

async function showOwner(request, response) {
  const token = await provider.ClientCredentials.find(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
  if (token === undefined || token.isExpired) response.writeHead(401).end();
  else response.setHeader('content-type', 'application/json').end(JSON.stringify({ client_id: token.clientId, scope: token.scope ?? '' }));
}

server.on('request', async (request, response) => {
  switch (`${request.method} ${request.url}`) {
    case 'GET /test/requests':
      response.setHeader('content-type', 'application/json').end(JSON.stringify(seen));
      break;
    case 'POST /test/redirect-uris':
      await allowRedirectUri(await text(request));
      response.writeHead(204).end();
      break;
    case 'GET /test/resource':
      await showOwner(request, response);
      break;
    default:
      await authorizationServer(request, response);
  }
});

console.log(JSON.stringify({ issuer }));
