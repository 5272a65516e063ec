variable "project_id" {
  type = string
}

resource "google_iam_workload_identity_pool" "product" {
  project                   = var.project_id
  workload_identity_pool_id = "product-access"
  display_name              = "{{product}}"
}

resource "google_iam_workload_identity_pool_provider" "issuer" {
  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.product.workload_identity_pool_id
  workload_identity_pool_provider_id = "issuer"
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  oidc {
    issuer_uri = "{{issuer}}"
  }
}

resource "google_service_account" "product" {
  project      = var.project_id
  account_id   = "product-access"
  display_name = "{{product}}"
}

resource "google_project_iam_member" "access" {
  project = var.project_id
  role    = "{{permissions.role}}"
  member  = google_service_account.product.member
}

resource "google_service_account_iam_member" "federated" {
  service_account_id = google_service_account.product.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.product.name}/subject/{{subject}}"
}

output "audience" {
  value = "//iam.googleapis.com/${google_iam_workload_identity_pool_provider.issuer.name}"
}

output "service_account_email" {
  value = google_service_account.product.email
}
