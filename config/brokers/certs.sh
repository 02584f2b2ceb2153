#!/bin/sh
# Makes the certificates that the configurations beside this file use, with openssl 1.1.1 or later.
#
#   certs.sh DIR broker NAME HOST...   server certificate NAME.pem for these host names and addresses
#   certs.sh DIR client NAME...        client certificates; NAME is the agent's name and the broker's user
#   certs.sh DIR node NAME HOST...     as broker, and good for both ends of a connection between nodes of a cluster
#
# The authority (ca.pem, ca.key) is made in DIR when there is none. Use it for nothing else: whoever has a certificate
# of it is let in by a broker. Nodes of a cluster get an authority of their own, in a DIR of their own, because a broker
# believes everything that another node says. Keep ca.key off the broker and the agents.
set -eu
umask 077

DAYS=${DAYS:-90} # of server and client certificates; the authority's live 10 years

[ $# -ge 3 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
dir=$1 kind=$2
shift 2
mkdir -p "$dir"
cd "$dir"

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }

if [ ! -f ca.key ]; then
	key ca
	openssl req -new -x509 -key ca.key -sha256 -days 3650 -subj "/CN=rackagent ca" \
		-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
fi

issue() { # issue NAME USAGE [SUBJECT-ALT-NAME]
	key "$1"
	{
		echo "basicConstraints=critical,CA:FALSE"
		echo "keyUsage=critical,digitalSignature"
		echo "extendedKeyUsage=$2"
		[ -z "${3:-}" ] || echo "subjectAltName=$3"
	} >"$1.ext"
	openssl req -new -key "$1.key" -sha256 -subj "/CN=$1" |
		openssl x509 -req -sha256 -days "$DAYS" -CA ca.pem -CAkey ca.key -CAcreateserial -extfile "$1.ext" -out "$1.pem" 2>/dev/null
	rm "$1.ext"
}

names() { # DNS:HOST or IP:ADDRESS of each, with commas
	list=
	for host; do
		case $host in *[!0-9.]*) type=DNS ;; *) type=IP ;; esac
		list=$list${list:+,}$type:$host
	done
	echo "$list"
}

case $kind in
broker) name=$1; shift; issue "$name" serverAuth "$(names "$@")" ;;
node) name=$1; shift; issue "$name" serverAuth,clientAuth "$(names "$@")" ;;
client) for name; do issue "$name" clientAuth; done ;;
*) echo "certs.sh: $kind is none of broker, node, client" >&2; exit 2 ;;
esac
