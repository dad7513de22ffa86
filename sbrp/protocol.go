package sbrp

// A frame, section 2. Exactly one frame is one binary WebSocket message; all integers are big-endian.
//
//	type(1) | length(4) | sessionID(8) | payload(length)
//
//	client                        relay                         daemon
//	   |-- HandshakeInit ----------->|-- forwarded --------------->|   section 3
//	   |<---------------- forwarded -|<--------- HandshakeAccept --|
//	   |<== Data ===================>|<=================== Data ==>|   section 4, sealed; the relay forwards it byte for byte
//	   |                             |<------------------ Signal --|   section 6, after the daemon's reconnect
//	   |<-- Control -----------------|-- Control ----------------->|   section 5
//	   |<-- Ping/Pong -------------->|<-------------- Ping/Pong -->|   per connection, never forwarded
const (
	FrameHandshakeInit   FrameType = 0x01 // client: ephemeral X25519 key (32). Section 3
	FrameHandshakeAccept FrameType = 0x02 // daemon: [identity key (32)] ephemeral key (32) signature (64). Sections 2, 3
	FrameData            FrameType = 0x03 // client, daemon: nonce (12) ciphertext (n) tag (16). Section 4
	FrameSignal          FrameType = 0x04 // daemon, to the relay: signal (1) reason (1). Sections 2, 6
	FramePing            FrameType = 0x10 // client, daemon, relay; SessionID 0: opaque (0..8). Sections 2, 6
	FramePong            FrameType = 0x11 // client, daemon, relay; SessionID 0: the Ping's bytes. Sections 2, 6
	FrameControl         FrameType = 0x20 // relay; SessionID 0 or the session's: code (2) text (UTF-8, 0..65,534). Sections 2, 5
	// 0x00 is invalid; 0x05-0x0F, 0x12-0x1F, 0x21-0x7F are reserved; 0x80-0xFF are experimental: all of them invalid_frame_type.
)

// Sizes that the protocol fixes, in bytes.
const (
	HeaderSize      = 13                      // type, length, SessionID. Section 2
	MaxPayload      = 65536                   // section 2
	MaxFrame        = HeaderSize + MaxPayload // the longest message that is a frame
	InitSize        = 32                      // HandshakeInit payload. Section 2
	AcceptSize      = 128                     // HandshakeAccept payload with the identity key, what the published library speaks. Section 2
	AcceptSizeShort = 96                      // HandshakeAccept payload of the overview's older draft, without the identity key. Section 2
	SignalSize      = 2                       // Signal payload. Section 2
	MaxPing         = 8                       // Ping and Pong payload. Section 2
	MinControl      = 2                       // Control payload: the code. Section 2
	NonceSize       = 12                      // in front of every ciphertext. Section 4
	TagSize         = 16                      // Poly1305, behind every ciphertext. Section 4
	MinSealed       = NonceSize + TagSize     // Data payload that holds an empty plaintext. Section 4
	MaxPlaintext    = MaxPayload - MinSealed  // 65,508: the longest plaintext of one Data frame. Section 2
	KeySize         = 32                      // Ed25519 and X25519 public keys, traffic keys. Section 3
	SignatureSize   = 64                      // Ed25519. Section 3
	maxControlText  = MaxPayload - MinControl // the longest text of a Control frame
	sessionIDText   = 11                      // base64url of 8 bytes without padding. Section 7
	fingerprintHead = "SHA256:"               // section 9
)

// Limits of our own: the protocol leaves them open.
const (
	// MaxDaemonID is the longest daemon id in bytes that CheckDaemonID passes. Ids are made by the control plane; 128 holds any UUID or host name
	// with room, and keeps a hostile id from filling logs and tables.
	MaxDaemonID = 128
	// MaxPeerText is how many bytes of a peer's text an error shows. The text is for people and may be hostile.
	MaxPeerText = 200
)
