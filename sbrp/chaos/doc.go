// Package chaos makes hostile ones of a real relay and a real control plane, to see that clients and daemons lose nothing
// by them but time.
//
// [Middle] stands between the endpoints and the real relay, with what an attacker there has: every byte, no key. The cheats
// (Flip, Truncate, Redirect, Pose, …) are what it can make of a frame. The suite of package service, whose table
// ../THREATS.md is, drives both by hand. [Relay] is a Middle that cheats by itself as a SPEC says: `culvert relay --chaos`.
//
// What befalls a message is decided by the SPEC's seed and by the message's place in its session, and by nothing else, so
// that a run can be had again as far as the endpoints send the same and no clock decides (delay, hold, cut).
package chaos
