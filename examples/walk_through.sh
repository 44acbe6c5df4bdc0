#!/bin/sh
# A walk through the HTTP interface with curl: sh examples/walk_through.sh [URL]
set -eu

url=${1:-${DDB_URL:-http://localhost:8080}}
id=walk-$$-$(date +%s)
body=$(mktemp)
headers=$(mktemp)
trap 'rm -f "$body" "$headers"' EXIT

# ask EXPECTED-STATUS CURL-ARGUMENTS...: print the request and the answer, and stop on another status.
ask() {
    expected=$1
    shift
    printf '\n$ curl'
    printf " '%s'" "$@"
    printf '\n'
    : > "$body" # curl leaves the file alone where an answer has no body
    status=$(curl -sS --max-time 5 -o "$body" -D "$headers" -w '%{http_code}' "$@")
    printf '%s  ' "$status"
    cat "$body"
    printf '\n'
    if [ "$status" != "$expected" ]; then
        echo "expected $expected" >&2
        exit 1
    fi
}

header() {
    grep -i "^$1: " "$headers" | cut -d ' ' -f 2- | tr -d '\r'
}

printf "\n# Create a user. A second create of the same id is refused.\n"
user='{"id":"'$id'","name":"Ada Lovelace","email":"ada@example.com","group":1}'
ask 201 -X POST "$url/api/users/" -d "$user"
etag=$(header etag)
ask 409 -X POST "$url/api/users/" -d "$user"

printf "\n# Read it. The ETag saves the body of an unchanged user.\n"
ask 200 "$url/api/users/$id"
ask 304 "$url/api/users/$id" -H "If-None-Match: $etag"

printf "\n# Update some fields. If-Match refuses the update if somebody else was faster.\n"
ask 200 -X PUT "$url/api/users/" -d '{"id":"'$id'","group":7}'
ask 412 -X PATCH "$url/api/users/$id" -H "If-Match: $etag" -d '{"group":8}'

printf "\n# A write with an Idempotency-Key takes effect once; a repeat gets the same answer.\n"
ask 200 -X PATCH "$url/api/users/$id" -H "Idempotency-Key: $id-1" -d '{"name":"Ada King"}'
ask 200 -X PATCH "$url/api/users/$id" -H "Idempotency-Key: $id-1" -d '{"name":"Ada King"}'

printf "\n# An invalid request names each field.\n"
ask 400 -X PUT "$url/api/users/" -d '{"id":"'$id'","group":"seven","email":"nowhere"}'

printf "\n# Count and list. The Link header leads to the next page, if there is one.\n"
ask 200 "$url/api/users/count"
ask 200 "$url/api/users/?limit=2"
echo "Link: $(header link)"

printf "\n# Delete it.\n"
ask 204 -X DELETE "$url/api/users/$id"
ask 404 "$url/api/users/$id"
