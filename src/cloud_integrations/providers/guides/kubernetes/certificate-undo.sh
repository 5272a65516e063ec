kubectl delete clusterrolebinding product-certificate
kubectl delete clusterrole product-certificate
kubectl delete csr product-certificate --ignore-not-found
rm -f product-certificate.key product-certificate.csr product-certificate.json product-certificate.crt
