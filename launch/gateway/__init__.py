"""One endpoint before the served versions: HAProxy, configured from a recipe (docs/gateway.md)."""
