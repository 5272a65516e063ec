"""What the help says of each command, in its order; apart from the commands, so that none is loaded for the help."""

SUMMARIES = {
    "demo": "Show everything from end to end.",
    "serve": "Serve the HTTP API and a page for browsers.",
    "worker": "Renew tokens before they end.",
    "init": "Write settings, a key and a SQLite database.",
    "doctor": "Check the installation, and say what to mend.",
    "connect": "Connect a provider by OAuth2, in a browser.",
    "token": "Get a credential that works.",
    "exec": "Run a program with a tenant's AWS keys.",
    "import": "Import credentials that an application already holds.",
    "providers": "The providers that this installation knows.",
    "integrations": "A tenant's access to providers.",
    "applications": "OAuth applications that tenants registered.",
    "audit": "The log of who did what.",
    "revocations": "Tokens that wait to be revoked.",
    "keys": "The keys that seal everything.",
    "issuer": "Our own issuer of tokens, and its keys.",
    "tenants": "Erase a tenant.",
    "tokens": "Bearer tokens for the HTTP API.",
    "db": "The database's schema.",
}
