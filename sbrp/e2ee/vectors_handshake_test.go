package e2ee

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"culvert/sbrp"
)

func TestVectorsHandshake(t *testing.T) {
	runVectors(t, "testdata/handshake.json", map[string]group{
		"description":     note,
		"source":          note,
		"source_detail":   note,
		"context":         checkContext,
		"cases":           rows(checkHandshake),
		"negative":        rows(checkClientNegative),
		"daemon_negative": rows(checkDaemonNegative),
		"wire_negative":   rows(checkWireNegative),
	})
}

// TestVectorsConstants checks what the control-code and fingerprint files say about this package.
func TestVectorsConstants(t *testing.T) {
	runVectors(t, "../testdata/control_codes.json", map[string]group{
		"description": note, "source": note, "source_detail": note,
		"codes": note, "endpoint_only": note, "unknown_code_terminal": note, "frame_types": note, "signal_codes": note, "signal_reasons": note, // sbrp's tests
		"limits": func(t *testing.T, raw json.RawMessage) {
			var got map[string]int
			strict(t, raw, &got)
			if got["SESSION_KEYS_LENGTH"] != okmSize {
				t.Errorf("okm: got %d bytes, want %d", okmSize, got["SESSION_KEYS_LENGTH"])
			}
			if n := got["DEFAULT_REPLAY_WINDOW_SIZE"]; n == 0 || WindowSize < n { // section 4: at least that, 1,024 chosen
				t.Errorf("window: got %d, want at least %d", WindowSize, n)
			}
			if chacha20poly1305.KeySize != got["SYMMETRIC_KEY_LENGTH"] || chacha20poly1305.NonceSize != got["NONCE_LENGTH"] || chacha20poly1305.Overhead != got["AUTH_TAG_LENGTH"] {
				t.Error("the AEAD's sizes differ")
			}
		},
		"directions": func(t *testing.T, raw json.RawMessage) {
			var got map[string]direction
			strict(t, raw, &got)
			if want := (map[string]direction{"ClientToDaemon": clientToDaemon, "DaemonToClient": daemonToClient}); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", want, got)
			}
		},
		"contexts": func(t *testing.T, raw json.RawMessage) {
			var got map[string]string
			strict(t, raw, &got)
			want := map[string]string{
				"SBRP_HANDSHAKE_CONTEXT": handshakeLabel, "SBRP_TRANSCRIPT_CONTEXT": transcriptLabel, "SBRP_SESSION_KEYS_INFO": keysInfo,
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", want, got)
			}
		},
	})
}

func TestVectorsFingerprintSeeds(t *testing.T) {
	type row struct {
		Name         string    `json:"name"`
		PublicKey    hexBytes  `json:"public_key"`
		Fingerprint  string    `json:"fingerprint"`
		IdentitySeed *hexBytes `json:"identity_seed"`
	}
	n := 0
	runVectors(t, "../testdata/fingerprint.json", map[string]group{
		"description": note, "source": note, "source_detail": note,
		"cases": rows(func(t *testing.T, r row) {
			if r.IdentitySeed == nil {
				return // a key without a private half: sbrp's tests have it
			}
			n++
			id := identity(t, *r.IdentitySeed)
			if k := id.PublicKey(); !bytes.Equal(k[:], r.PublicKey) || k.Fingerprint().String() != r.Fingerprint {
				t.Errorf("got %v %v", k, k.Fingerprint())
			}
		}),
	})
	if n == 0 {
		t.Error("no row has a seed")
	}
}

func checkContext(t *testing.T, raw json.RawMessage) {
	var got map[string]string
	strict(t, raw, &got)
	want := map[string]string{"handshake": handshakeLabel, "transcript": transcriptLabel, "session_keys_info": keysInfo}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", want, got)
	}
}

func identity(t testing.TB, seed []byte) *Identity {
	t.Helper()
	id, err := ParseIdentity(seed)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func ephemeral(t testing.TB, private []byte) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// speaksKeys fails unless s seals with one key and opens what the other key sealed.
func speaksKeys(t *testing.T, s *Session, seal, open []byte, out, in direction) {
	t.Helper()
	peer := &Session{Sealer: newSealer(open, in), Opener: newOpener(seal, out, WindowSize)}
	peer.Sealer.next = s.Sealer.next // s may have talked before, as much in one direction as in the other
	exchange(t, s, peer)
}

// exchange sends a message each way.
func exchange(t *testing.T, a, b *Session) {
	t.Helper()
	for _, pair := range [][2]*Session{{a, b}, {b, a}} {
		sealed, err := pair[0].Sealer.Seal(nil, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pair[1].Opener.Open(nil, sealed); err != nil || string(got) != "hello" {
			t.Errorf("Open: got %q, %v", got, err)
		}
	}
}

type handshakeRow struct {
	Name                   string   `json:"name"`
	DaemonID               string   `json:"daemon_id"`
	DaemonIDUTF8           hexBytes `json:"daemon_id_utf8"`
	SID                    decimal  `json:"sid"`
	IdentitySeed           hexBytes `json:"identity_seed"`
	IdentityPublic         hexBytes `json:"identity_public"`
	Fingerprint            string   `json:"fingerprint"`
	ClientEphemeralPrivate hexBytes `json:"client_ephemeral_private"`
	ClientEphemeralPublic  hexBytes `json:"client_ephemeral_public"`
	DaemonEphemeralPrivate hexBytes `json:"daemon_ephemeral_private"`
	DaemonEphemeralPublic  hexBytes `json:"daemon_ephemeral_public"`
	SignaturePayload       hexBytes `json:"signature_payload"`
	Signature              hexBytes `json:"signature"`
	SharedSecret           hexBytes `json:"shared_secret"`
	TranscriptHash         hexBytes `json:"transcript_hash"`
	ClientToDaemon         hexBytes `json:"client_to_daemon"`
	DaemonToClient         hexBytes `json:"daemon_to_client"`
	InitFrame              hexBytes `json:"init_frame"`
	AcceptFrame            hexBytes `json:"accept_frame"`
}

func checkHandshake(t *testing.T, row handshakeRow) {
	want := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", what, got, want)
		}
	}
	want("daemon id", []byte(row.DaemonID), row.DaemonIDUTF8)
	id := identity(t, row.IdentitySeed)
	key := id.PublicKey()
	want("identity key", key[:], row.IdentityPublic)
	if got := key.Fingerprint().String(); got != row.Fingerprint {
		t.Errorf("fingerprint: got %s, want %s", got, row.Fingerprint)
	}
	client, daemon := ephemeral(t, row.ClientEphemeralPrivate), ephemeral(t, row.DaemonEphemeralPrivate)
	want("client ephemeral", client.PublicKey().Bytes(), row.ClientEphemeralPublic)
	want("daemon ephemeral", daemon.PublicKey().Bytes(), row.DaemonEphemeralPublic)
	shared, err := client.ECDH(daemon.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	want("shared secret", shared, row.SharedSecret)

	h := hello{row.DaemonID, row.ClientEphemeralPublic, row.DaemonEphemeralPublic}
	payload, transcript := h.sigPayload(), h.transcript(row.Signature)
	want("signature payload", payload[:], row.SignaturePayload)
	want("signature", id.signHandshake(payload), row.Signature)
	want("transcript", transcript[:], row.TranscriptHash)
	okm, err := deriveKeys(daemon.ECDH, row.ClientEphemeralPublic, transcript)
	if err != nil {
		t.Fatal(err)
	}
	want("keys", okm, slices.Concat(row.ClientToDaemon, row.DaemonToClient))

	for _, layout := range []Layout{LayoutFull, LayoutShort} {
		i := newInitiator(row.DaemonID, key, client)
		init := i.Init()
		want("init frame", sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, sbrp.SessionID(row.SID), init[:]), row.InitFrame)
		accept, s, err := respond(id, row.DaemonID, init[:], layout, daemon)
		if err != nil {
			t.Fatal(err)
		}
		if layout == LayoutFull {
			want("accept frame", sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, sbrp.SessionID(row.SID), accept), row.AcceptFrame)
		} else {
			want("short accept", accept, row.AcceptFrame[sbrp.HeaderSize+sbrp.KeySize:])
		}
		c, err := i.Finish(accept)
		if err != nil {
			t.Fatalf("Finish of layout %v: %v", layout, err)
		}
		want("client's transcript", c.Transcript[:], row.TranscriptHash)
		want("daemon's transcript", s.Transcript[:], row.TranscriptHash)
		if c.DaemonKey != key || s.DaemonKey != key {
			t.Errorf("daemon key: client has %v, daemon has %v, want %v", c.DaemonKey, s.DaemonKey, key)
		}
		exchange(t, c, s)
		speaksKeys(t, s, row.DaemonToClient, row.ClientToDaemon, daemonToClient, clientToDaemon)
	}
}

type outcome struct {
	Accepted       bool     `json:"accepted"`
	Error          *string  `json:"error"`
	Exception      bool     `json:"exception"`
	ClientToDaemon hexBytes `json:"client_to_daemon"`
	DaemonToClient hexBytes `json:"daemon_to_client"`
	Signature      hexBytes `json:"signature"`
}

type clientNegativeRow struct {
	Name                   string   `json:"name"`
	DaemonID               string   `json:"daemon_id"`
	PinnedIdentityPublic   hexBytes `json:"pinned_identity_public"`
	ClientEphemeralPrivate hexBytes `json:"client_ephemeral_private"`
	ClientEphemeralPublic  hexBytes `json:"client_ephemeral_public"`
	IdentityPublic         hexBytes `json:"identity_public"`
	AcceptPublic           hexBytes `json:"accept_public"`
	Signature              hexBytes `json:"signature"`
	Reference              outcome  `json:"reference"`
	Expect                 string   `json:"expect"`
	Note                   string   `json:"note"`
	Informational          string   `json:"informational"`
}

func checkClientNegative(t *testing.T, row clientNegativeRow) {
	pin := sbrp.PublicKey(row.PinnedIdentityPublic)
	finish := func(accept []byte) (*Session, error) {
		i := newInitiator(row.DaemonID, pin, ephemeral(t, row.ClientEphemeralPrivate))
		if init := i.Init(); !bytes.Equal(init[:], row.ClientEphemeralPublic) {
			t.Fatalf("init: got %x", init)
		}
		return i.Finish(accept)
	}
	full := slices.Concat(row.IdentityPublic, row.AcceptPublic, row.Signature)
	s, err := finish(full)
	switch {
	case row.Informational != "":
		if row.Expect != "" {
			t.Errorf("an informational row expects %q", row.Expect)
		}
		if (s == nil) == (err == nil) {
			t.Errorf("got both or neither of a session and an error: %v", err)
		}
	case row.Expect == "accepted":
		if err != nil {
			t.Fatal(err)
		}
		speaksKeys(t, s, row.Reference.ClientToDaemon, row.Reference.DaemonToClient, clientToDaemon, daemonToClient)
	default:
		wantCode(t, "Finish", err, row.Expect)
	}

	// The frame decoder refuses what has no size of a HandshakeAccept.
	f := sbrp.Frame{Type: sbrp.FrameHandshakeAccept, SessionID: 1, Payload: full}
	if err := f.CheckPayload(); (err == nil) != (len(full) == sbrp.AcceptSize) {
		t.Errorf("CheckPayload of %d bytes: %v", len(full), err)
	}
	// Without the identity key all else is the same. What only that key gives away is no error then.
	short := full[len(row.IdentityPublic):]
	if len(short) == sbrp.AcceptSizeShort && row.Informational == "" && row.Expect != "identity_key_changed" {
		_, err := finish(short)
		wantCode(t, "Finish of the short layout", err, strings.TrimPrefix(row.Expect, "accepted"))
	}
}

type daemonNegativeRow struct {
	Name                   string   `json:"name"`
	DaemonID               string   `json:"daemon_id"`
	IdentitySeed           hexBytes `json:"identity_seed"`
	DaemonEphemeralPrivate hexBytes `json:"daemon_ephemeral_private"`
	InitPublicKey          hexBytes `json:"init_public_key"`
	Reference              outcome  `json:"reference"`
	Expect                 string   `json:"expect"`
	Note                   string   `json:"note"`
}

func checkDaemonNegative(t *testing.T, row daemonNegativeRow) {
	for _, layout := range []Layout{LayoutFull, LayoutShort} {
		accept, s, err := respond(identity(t, row.IdentitySeed), row.DaemonID, row.InitPublicKey, layout, ephemeral(t, row.DaemonEphemeralPrivate))
		if row.Expect != "accepted" {
			wantCode(t, "Respond", err, row.Expect)
			if accept != nil || s != nil {
				t.Error("an error came with an accept or a session")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := accept[len(accept)-ed25519.SignatureSize:]; !bytes.Equal(got, row.Reference.Signature) {
			t.Errorf("signature: got %x, want %v", got, row.Reference.Signature)
		}
		speaksKeys(t, s, row.Reference.DaemonToClient, row.Reference.ClientToDaemon, daemonToClient, clientToDaemon)
	}
}

type wireNegativeRow struct {
	Name  string   `json:"name"`
	Frame hexBytes `json:"frame"`
	Error string   `json:"error"`
}

func checkWireNegative(t *testing.T, row wireNegativeRow) {
	f, err := sbrp.ParseEndpointFrame(row.Frame)
	want := row.Error
	if row.Name == "accept_frame_payload_96_old_layout" { // section 2: a client takes both
		want = ""
	}
	wantCode(t, "ParseEndpointFrame", err, want)
	if err != nil { // and what comes round the decoder is refused as well
		payload := row.Frame[sbrp.HeaderSize:]
		switch sbrp.FrameType(row.Frame[0]) {
		case sbrp.FrameHandshakeInit:
			_, _, err = Respond(GenerateIdentity(), "d", payload, LayoutFull)
			wantCode(t, "Respond", err, "handshake_failed")
		case sbrp.FrameHandshakeAccept:
			_, err = NewInitiator("d", sbrp.PublicKey(payload[:sbrp.KeySize])).Finish(payload)
			wantCode(t, "Finish", err, "handshake_failed")
		default:
			t.Errorf("frame of type %v", f.Type)
		}
	}
}
