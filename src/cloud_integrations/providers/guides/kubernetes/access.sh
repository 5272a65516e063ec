kubectl apply -f access.yaml
echo "API server:"
kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'
echo
echo "Certificate authority:"
kubectl config view --minify --raw --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}'
echo
echo "Token:"
kubectl get secret product-access --namespace=product-access -o jsonpath='{.data.token}' | base64 --decode
echo
