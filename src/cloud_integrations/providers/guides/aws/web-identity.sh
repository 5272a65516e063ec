aws iam create-open-id-connect-provider --url={{issuer}} --client-id-list={{audience}}
aws iam create-role --role-name={{product}} --assume-role-policy-document=file://web-identity-trust.json
aws iam put-role-policy --role-name={{product}} --policy-name=access --policy-document=file://permissions.json
aws iam get-role --role-name={{product}} --query=Role.Arn --output=text
