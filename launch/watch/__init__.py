"""What a gateway's versions do, as Prometheus metrics, without a word of what anybody said (docs/gateway.md)."""
