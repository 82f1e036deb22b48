// An OpenID Connect issuer: node issuer.js PORT SERVER.PEM KEYS.JSON. Clients get JWTs for the audience that they name.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Provider } from "oidc-provider";

const [port, pem, keys] = process.argv.slice(2);
const tls = readFileSync(pem);
const CLAIMS = {
  jane: { email: "jane@example.com", email_verified: true, groups: ["dev", "ops"], tenant: "acme" },
  ann: { groups: ["team-a"], tenant: "acme" },
  bob: { groups: ["team-b"], tenant: "acme" },
  joe: { email: "joe@example.com", email_verified: false, groups: "dev", tenant: "other" },
};
const provider = new Provider(`https://127.0.0.1:${port}`, {
  clients: Object.keys(CLAIMS).map((client_id) => ({
    client_id,
    client_secret: "secret",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  })),
  jwks: JSON.parse(readFileSync(keys, "utf8")),
  extraTokenClaims: (ctx, token) => CLAIMS[token.clientId],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource, client) => ({
        scope: "",
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
      }),
    },
  },
});
createServer({ cert: tls, key: tls }, provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
