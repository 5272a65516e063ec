resource "aws_iam_role" "access" {
  name = "{{product}}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "{{principal}}" }
      Action    = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
      Condition = { StringEquals = { "sts:ExternalId" = "{{external_id}}" } }
    }]
  })
}

resource "aws_iam_role_policy" "access" {
  name = "access"
  role = aws_iam_role.access.id
  policy = jsonencode({{permissions}})
}

output "role_arn" {
  value = aws_iam_role.access.arn
}
