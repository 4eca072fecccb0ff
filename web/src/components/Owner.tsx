/** Owners: whose a thing is, and how to reach them. */
import type { Owner } from "~/api/schema";

/** The team with the ways to reach it, in one line. */
export function OwnerLine({ owner }: { owner: Owner | undefined }) {
  if (owner === undefined) return <span className="dim">no owner</span>;
  return (
    <span>
      {owner.team}
      {owner.contact !== undefined && (
        <>
          {" · "}
          <Contact contact={owner.contact} />
        </>
      )}
      {owner.issues !== undefined && isLink(owner.issues) && (
        <>
          {" · "}
          <a href={owner.issues} target="_blank" rel="noreferrer noopener">
            report an issue
          </a>
        </>
      )}
    </span>
  );
}

function Contact({ contact }: { contact: string }) {
  if (/^[^\s@]+@[^\s@]+$/.test(contact)) return <a href={`mailto:${contact}`}>{contact}</a>;
  if (isLink(contact)) {
    return (
      <a href={contact} target="_blank" rel="noreferrer noopener">
        {contact}
      </a>
    );
  }
  return <>{contact}</>;
}

/** Only addresses of the web become links: a `javascript:` address is text. */
export function isLink(text: string): boolean {
  return /^https?:\/\//i.test(text);
}
