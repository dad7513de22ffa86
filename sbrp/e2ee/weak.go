package e2ee

import "culvert/sbrp"

// smallOrder are the encodings of the y coordinates of edwards25519's eight points of small order, and the two that are another's plus the field's
// prime, all with the sign bit off. Under such a key anybody can make a signature that verifies.
var smallOrder = [...][sbrp.KeySize]byte{
	{},            // y = 0, order 4
	{1},           // y = 1, order 1
	primePlus(-1), // y = -1, order 2
	primePlus(0),  // y = 0 again, as p
	primePlus(1),  // y = 1 again, as p+1
	{ // order 8
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{ // order 8, the negative of the one above
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
}

// primePlus returns p+n, little-endian, p being the field's prime 2^255-19.
func primePlus(n int) (b [sbrp.KeySize]byte) {
	for i := range b {
		b[i] = 0xff
	}
	b[0], b[31] = byte(0xed+n), 0x7f
	return b
}

// weakIdentity reports whether k is a point of small order (the zero key is one).
func weakIdentity(k sbrp.PublicKey) bool {
	k[31] &= 0x7f
	for _, weak := range smallOrder {
		if k == weak {
			return true
		}
	}
	return false
}
