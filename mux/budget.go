package mux

// Budget bounds the memory of all links that share it; see newBudget's callers for what counts.
type Budget struct {
	max int64
}

// NewBudget makes a budget of so many bytes; 0 means DefaultBudget.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = DefaultBudget
	}
	return &Budget{max: bytes}
}
