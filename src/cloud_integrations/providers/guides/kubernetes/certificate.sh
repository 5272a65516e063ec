set -e
umask 077
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out product-certificate.key
openssl req -new -key product-certificate.key -subj /CN=product-certificate -out product-certificate.csr
kubectl apply -f certificate.yaml
printf '{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"product-certificate"},' > product-certificate.json
printf '"spec":{"signerName":"kubernetes.io/kube-apiserver-client","expirationSeconds":7776000,"usages":["client auth"],"request":"' >> product-certificate.json
base64 < product-certificate.csr | tr -d '\n' >> product-certificate.json
printf '"}}' >> product-certificate.json
kubectl create -f product-certificate.json
kubectl certificate approve product-certificate
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  kubectl get csr product-certificate -o jsonpath='{.status.certificate}' | base64 --decode > product-certificate.crt
  test -s product-certificate.crt && break
  sleep 2
done
test -s product-certificate.crt
echo "API server:"
kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'
echo
echo "Certificate authority:"
kubectl config view --minify --raw --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}'
echo
