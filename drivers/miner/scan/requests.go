package scan

import (
	"encoding/binary"
	"strings"
)

// The ports that tell.
const (
	portRPC = 4028 // cgminer and its kin, LuxOS, BOSer, btminer (Whatsminer API 2)
	portV3  = 4433 // Whatsminer API 3
	portWeb = 80
)

func ports() []int { return []int{portRPC, portV3, portWeb} }

// The requests, all that there are. Reports, for which no firmware wants a log-in, and which change nothing.
const (
	askVersion    = `{"command":"version"}`     // cgminer, API-README
	askConfig     = `{"command":"config"}`      // LuxOS API documentation, config
	askDetails    = `{"command":"devdetails"}`  // cgminer, API-README
	askGetVersion = `{"cmd":"get_version"}`     // WhatsminerAPI 2.0.5
	askMinerInfo  = `{"cmd":"get_miner_info"}`  // WhatsminerAPI 2.0.5
	askDevDetails = `{"cmd":"devdetails"}`      // WhatsminerAPI 2.0.5
	askDevice     = `{"cmd":"get.device.info"}` // WhatsminerAPI 3.0
)

// The pages, all that there are.
const (
	pageRoot    = "/"
	pageCGI     = "/cgi-bin/get_system_info.cgi" // Antminer, which asks for a log-in and names its realm
	pageInfo    = "/api/v1/info"                 // Vnish, xminer-api
	pageModel   = "/api/v1/model"                // Vnish, xminer-api
	pageBraiins = "/api/v1/version/"             // Braiins OS Public API
	pageSystem  = "/api/system/info"             // ESP-Miner, openapi.yaml
)

// getOf is the request for a page: no credentials, no cookies, no origin.
func getOf(host, page string) []byte {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return []byte("GET " + page + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n")
}

// framed puts the length before a message, 4 bytes, the least significant first (WhatsminerAPI 3.0, TCP data framing).
func framed(message string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(message))), message...)
}
