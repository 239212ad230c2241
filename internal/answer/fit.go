package answer

import "github.com/miekg/dns"

// Fit makes a message fit into so many bytes. The additional section goes as a whole before any
// answer does: what is left of it would be taken for all there is (RFC 2181, section 9). TC says
// that answers are missing. OPT and TSIG are no part of that section: they stay, whatever else
// must go (RFC 6891, section 7; RFC 8945, section 5.3).
func Fit(m *dns.Msg, room int) {
	if signature := m.IsTsig(); signature != nil {
		m.Extra = m.Extra[:len(m.Extra)-1]
		defer func() { m.Extra = append(m.Extra, signature) }()
		room -= dns.Len(signature) // it is made last, and not compressed
	}
	if m.Len() <= room {
		return
	}
	m.Compress = true
	if m.Len() <= room {
		return
	}
	opt := m.IsEdns0()
	m.Extra = nil
	if opt != nil {
		m.Extra = []dns.RR{opt}
	}
	m.Truncate(room)
	m.Compress = true
	for m.Len() > room && len(m.Answer)+len(m.Ns) > 0 { // Truncate leaves 512 bytes at least
		if n := len(m.Ns); n > 0 {
			m.Ns = m.Ns[:n-1]
		} else {
			m.Answer = m.Answer[:len(m.Answer)-1]
		}
		m.Truncated = true
	}
}
