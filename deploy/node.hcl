# One node in production. Every key and its default is described in the README's configuration reference.

storage "embedded" {
  path = "/var/lib/conclave"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/conclave/node.pem"
  tls_key_file  = "/etc/conclave/node.key"
}

# The URL that clients use; its name must be in the certificate.
api_addr     = "https://kms.example.org:8200"
cluster_name = "example"

# The public half of the operator key. The private half mints tokens of every add-on and stays off this machine:
#   openssl genpkey -algorithm ed25519 -out operator.key && chmod 600 operator.key
#   openssl pkey -in operator.key -pubout -outform DER | tail -c 32 | od -An -tx1 | tr -d ' \n'
operator_public_key = "/etc/conclave/operator.pub"

# Who asked for what. logrotate moves it away and runs `systemctl reload conclave`.
audit "file" {
  path = "/var/lib/conclave/audit.log"
}

# Prometheus on this machine reads /metrics here.
telemetry {
  prometheus_address = "127.0.0.1:9102"
}

log_format = "json"
