// Package osservice runs culvert as a service of the operating system: of systemd, launchd
// or Windows, by way of kardianos/service, which is named here only.
//
// A [Spec] says which service: several may be installed beside each other. What the system
// is told (a unit, a property list, a definition) is made by pure functions of a Spec, for
// any system on any other (and tried on a real systemd by `make test-service`); the directives of the units are those of examples/systemd, which
// are the same text. A [Service] acts on this machine.
//
// Nothing runs as the superuser unless asked to: on Linux it is the user culvert, on a Mac
// who ran sudo, on Windows an account that the service has for itself.
package osservice
