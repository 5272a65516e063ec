resource "alicloud_ram_role" "access" {
  role_name = "{{product}}"
  assume_role_policy_document = jsonencode({
    Version = "1"
    Statement = [{
      Effect    = "Allow"
      Principal = { RAM = ["{{principal}}"] }
      Action    = ["sts:AssumeRole", "sts:SetSourceIdentity"]
      Condition = { StringEquals = { "sts:ExternalId" = "{{external_id}}" } }
    }]
  })
}

resource "alicloud_ram_policy" "access" {
  policy_name     = "{{product}}"
  policy_document = jsonencode({{permissions}})
}

resource "alicloud_ram_role_policy_attachment" "access" {
  role_name   = alicloud_ram_role.access.role_name
  policy_name = alicloud_ram_policy.access.policy_name
  policy_type = "Custom"
}

output "role_arn" {
  value = alicloud_ram_role.access.arn
}
