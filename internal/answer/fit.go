package answer

import "github.com/miekg/dns"

// Fit makes a message fit into room bytes. It removes the whole additional section before any
// answer, since clients would take a part of it for all there is (RFC 2181, section 9). TC is set
// only if answers are missing, or was set before. OPT and TSIG records stay in any case (RFC 6891, section 7; RFC
// 8945, section 5.3).
func Fit(m *dns.Msg, room int) {
	if signature := m.IsTsig(); signature != nil {
		m.Extra = m.Extra[:len(m.Extra)-1]
		defer func() { m.Extra = append(m.Extra, signature) }()
		room -= dns.Len(signature) // it is signed last, and not compressed
	}
	if m.Len() <= room && !m.Truncated {
		return
	}
	m.Compress = true
	if m.Len() <= room && !m.Truncated {
		return
	}
	opt := m.IsEdns0()
	m.Extra = nil
	if opt != nil {
		m.Extra = []dns.RR{opt}
	}
	missing := m.Truncated
	m.Truncate(room)
	m.Truncated = m.Truncated || missing
	m.Compress = true
	for m.Len() > room && len(m.Answer)+len(m.Ns) > 0 { // Truncate stops at 512 bytes
		if n := len(m.Ns); n > 0 {
			m.Ns = m.Ns[:n-1]
		} else {
			m.Answer = m.Answer[:len(m.Answer)-1]
		}
		m.Truncated = true
	}
}
