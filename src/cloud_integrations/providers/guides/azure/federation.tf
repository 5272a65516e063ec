variable "subscription_id" {
  type = string
}

resource "azuread_application" "product" {
  display_name = "{{product}}"
}

resource "azuread_service_principal" "product" {
  client_id = azuread_application.product.client_id
}

resource "azuread_application_federated_identity_credential" "product" {
  application_id = azuread_application.product.id
  display_name   = "product"
  issuer         = "{{issuer}}"
  subject        = "{{subject}}"
  audiences      = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "product" {
  scope                = "/subscriptions/${var.subscription_id}"
  role_definition_name = "{{permissions.role}}"
  principal_id         = azuread_service_principal.product.object_id
}

output "client_id" {
  value = azuread_application.product.client_id
}
