// Package api is the control plane's HTTP interface as its users see it: the
// shapes of requests and answers (spec section 8, and this project's further
// fields and endpoints), and the [Client] that calls them.
//
// Everything is JSON; every error is {"code", "message"} with a fitting status and
// arrives as an [*Error]. A device authenticates with a token of at most one
// minute that it signs with its device key (see [SignDeviceToken]); an API key is
// shown only to enrol a device, to register a daemon the library's way, and by an
// admin to manage API keys.
//
// | endpoint                      | who                                  | does |
// |-------------------------------|--------------------------------------|------|
// | POST /api/devices             | a device key, with an API key        | enrols the device |
// | POST /api/daemons/register    | an enrolled device, or an API key    | registers a daemon, gives a presence token |
// | POST /api/daemons/presence    | the daemon's own device key          | renews the presence token |
// | GET  /api/daemons             | a device                             | lists the daemons that it may reach |
// | POST /api/sessions            | a device                             | gives a session token for one daemon |
// | POST /api/pairings            | the daemon's own device key          | announces a pairing code |
// | DELETE /api/pairings/{lookup} | the daemon's own device key          | takes it back |
// | POST /api/pairings/redeem     | any device key, known or not         | uses it up, gives a session token |
// | GET, POST /api/keys           | an API key with scope admin          | lists, makes API keys |
// | DELETE /api/keys/{id}         | an API key with scope admin          | revokes one |
package api
